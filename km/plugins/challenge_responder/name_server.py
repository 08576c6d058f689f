# SPDX-License-Identifier: Apache-2.0
"""Asking one name server, and changing its zones: with TSIG and a deadline."""
import contextlib
import socket
from collections.abc import Callable, Iterator

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from km.interfaces import Rejected, Unavailable

#: How a server says that it does not do this, or not for us.
_REFUSALS = (dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.NOTZONE, dns.rcode.NOTIMP)


class KeyRefused(Unavailable):
    """The server does not know the TSIG key, or another of that name; an operator can mend that."""


def shown(name: dns.name.Name) -> str:
    """A name as people write it, without its last dot."""
    return name.to_text(omit_final_dot=True)


class NameServer:
    """A name server at a host and port."""

    def __init__(self, host: str, port: int, *, seconds: float, key: dns.tsig.Key | None = None):
        """Remember where it is; its name is looked up for each call.

        :param seconds: how long it may take to answer; once more if it has to be asked over TCP.
        :param key: what to sign with. Answers must then be signed as well.
        """
        self.host, self.port = host, port
        self._seconds, self._key = seconds, key

    def __str__(self) -> str:
        return f'{self.host}:{self.port}'

    def ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, *, recursive: bool = False
            ) -> dns.message.Message:
        """Its answer, whatever it says.

        :raises KeyRefused: it does not take the key.
        :raises Unavailable: it does not answer.
        """
        question = dns.message.make_query(name, kind, flags=dns.flags.RD if recursive else 0)
        if self._key:
            return self._over_tcp(question)
        return self._exchange(lambda address: dns.query.udp_with_fallback(
            question, address, timeout=self._seconds, port=self.port, ignore_unexpected=True,
            ignore_errors=True)[0])

    def texts(self, name: dns.name.Name, *, recursive: bool = False) -> set[bytes]:
        """The values of all TXT records of a name, as it tells them now.

        :raises Unavailable: it does not answer.
        """
        answer = self.ask(name, dns.rdatatype.TXT, recursive=recursive)
        return {b''.join(record.strings) for found in answer.answer
                if found.rdtype == dns.rdatatype.TXT and found.name == name for record in found}

    def change(self, update: dns.update.UpdateMessage) -> None:
        """Have it carry out an update (RFC 2136).

        :raises Rejected: it does no such update for this key.
        :raises KeyRefused: it does not take the key.
        :raises Unavailable: it does not answer, or failed.
        """
        code = self._over_tcp(update).rcode()
        if code in _REFUSALS:
            raise Rejected(f'The name server {self} does not let km change {shown(update.zone[0].name)} '
                           f'({dns.rcode.to_text(code)}).')
        if code != dns.rcode.NOERROR:
            raise Unavailable(f'The name server {self} failed to change {shown(update.zone[0].name)} '
                              f'({dns.rcode.to_text(code)}).')

    def _over_tcp(self, message: dns.message.Message) -> dns.message.Message:
        """Nobody can answer in the server's place, and an answer that complains of a key is heard."""
        if self._key:
            message.use_tsig(self._key)
        return self._exchange(lambda address: dns.query.tcp(
            message, address, timeout=self._seconds, port=self.port))

    def _exchange(self, send: Callable[[str], dns.message.Message]) -> dns.message.Message:
        for address in self._addresses():
            with contextlib.suppress(dns.exception.Timeout, OSError, EOFError), self._failures():
                answer = send(address)
                if self._key and not answer.had_tsig:  # older dnspython lets this pass
                    raise dns.exception.FormError
                return answer
        raise Unavailable(f'The name server {self} does not answer.')

    def _addresses(self) -> list[str]:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        except OSError:
            raise Unavailable(f'The name server {self.host} has no address.') from None
        return [str(place[0]) for *_, place in found]

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """What may be wrong with an answer that came. None of it is told as it is: dnspython's messages
        may show what was sent."""
        try:
            yield
        except dns.exception.Timeout:
            raise
        except dns.tsig.PeerBadTime:
            raise Unavailable(f'The clocks of km and of the name server {self} differ.') from None
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadAlgorithm,
                dns.tsig.BadTime, dns.message.UnknownTSIGKey):
            raise KeyRefused(f'The name server {self} does not take the key of tsig_key_file.') from None
        except dns.exception.DNSException:
            raise Unavailable(f'The name server {self} gave an answer that is none.') from None
