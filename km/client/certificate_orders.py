# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate issue`` and ``certificate order list|show|cancel``."""
import base64
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from osc_lib.cli.format_columns import ListColumn
from osc_lib.command import command
from osc_lib.exceptions import CommandError

from km.client.certificate_service import CertificateService
from km.client.service import id_of

#: Of an order, as ``shown_order`` tells it.
ORDER_COLUMNS = ('Order ID', 'Status', 'Message', 'Certificate ID', 'Container href')
_LISTED = ('ID', 'Created', 'Subject', 'Names', 'Status', 'Message', 'Container href')
_SECONDS = 300
#: Beyond that a common name is none (RFC 5280, A.1).
_LONGEST_COMMON_NAME = 64
#: What an alternative name is called by the service, of each option that gives one.
_NAMES = {'dns': 'DNS', 'ip': 'IP', 'email': 'email', 'uri': 'URI'}


class IssueCertificate(command.ShowOne):
    """Order a certificate, and a new private key for it unless the key is there already.

    The service keeps both in a container. It makes the key; or has it, in a container
    (--key-container); or never sees it, if the request is made elsewhere (--csr).
    """

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        _add_names(parser)
        _add_key(parser)
        parser.add_argument('--name', metavar='<name>', help='What to call the container')
        parser.add_argument('--ca', metavar='<ca>', help='CA (href or ID); else the preferred one')
        parser.add_argument('--profile', metavar='<profile>', help='A profile of that CA')
        parser.add_argument('--not-after', metavar='<time>',
                            help='When it shall end at the latest (ISO 8601, UTC)')
        _add_renewal(parser)
        return add_waiting(parser)

    def take_action(self, parsed_args):
        meta = _meta(parsed_args)
        service = CertificateService.of(self.app.client_manager)
        placed = service.post('/orders', {'type': 'certificate', 'meta': meta})
        return ORDER_COLUMNS, shown_order(service, id_of(placed['order_ref']), parsed_args)


class ListOrders(command.Lister):
    """List the orders of certificates"""

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        found = service.pages('/orders?type=certificate&', 'orders')
        return _LISTED, [(
            id_of(order['order_ref']), order['created'], order['meta'].get('subject_dn'),
            ListColumn(order['meta'].get('subject_alt_names') or []), order['status'],
            _message(order), order.get('container_ref')) for order in found]


class ShowOrder(command.ShowOne):
    """Show how the order of a certificate stands, and what came of it"""

    def get_parser(self, prog_name):
        return _with_order(super().get_parser(prog_name))

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        order_id = id_of(parsed_args.order)
        return ORDER_COLUMNS, _row(service, order_id, service.get(f'/orders/{order_id}'))


class CancelOrder(command.Command):
    """Give up a pending order of a certificate; what its CA has issued by then is kept"""

    def get_parser(self, prog_name):
        return _with_order(super().get_parser(prog_name))

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        service.post(f'/orders/{id_of(parsed_args.order)}/cancel')


def add_waiting(parser: ArgumentParser) -> ArgumentParser:
    """``parser`` with the options that ``shown_order`` takes."""
    parser.add_argument('--wait', action='store_true',
                        help='Wait until the certificate is there; fail if the order does')
    parser.add_argument('--timeout', metavar='<seconds>', type=int, default=_SECONDS,
                        help=f'How long to wait at most (default: {_SECONDS})')
    return parser


def shown_order(service: CertificateService, order_id: str, asked: Namespace) -> tuple:
    """What an order has in ``ORDER_COLUMNS``, once it is settled if somebody waits for that.

    :raises CommandError: it failed, or is pending still, and somebody waited.
    """
    if asked.wait:
        return _row(service, order_id, service.settled(order_id, seconds=asked.timeout))
    return _row(service, order_id, service.placed(order_id))


def _add_names(parser: ArgumentParser) -> None:
    parser.add_argument('subject', metavar='<name>', nargs='?',
                        help='The host name or address it is for; or a distinguished name, '
                             'such as "CN=www.example.org,O=Example"')
    parser.add_argument('--subject', metavar='<dn>', dest='dn',
                        help='Its distinguished name, if <name> is another')
    for option, kind in (('dns', 'host name'), ('ip', 'address'), ('email', 'mailbox'), ('uri', 'URI')):
        parser.add_argument(f'--{option}', metavar='<name>', action='append', default=[],
                            help=f'Another {kind} it is for; may be repeated')


def _add_key(parser: ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--csr', metavar='<file>', help='A request (PKCS#10, PEM or DER) to send')
    source.add_argument('--key-container', metavar='<container>',
                        help='The container (href or ID) that has the private key')
    parser.add_argument('--algorithm', metavar='<algorithm>', help='Of a new key: rsa, ec or ed25519')
    parser.add_argument('--bit-length', metavar='<bits>', type=int, help='Of a new key')


def _add_renewal(parser: ArgumentParser) -> None:
    parser.add_argument('--renew', action='store_true', help='Have it renewed in time')
    parser.add_argument('--renew-at', metavar='<percent>', type=int,
                        help='Have it renewed when so much of its time has passed')
    parser.add_argument('--same-key', action='store_true', help='Have it renewed with the same key')


def _with_order(parser: ArgumentParser) -> ArgumentParser:
    parser.add_argument('order', metavar='<order>', help='Order of a certificate (href or ID)')
    return parser


def _meta(asked: Namespace) -> dict[str, Any]:
    """The meta of an order.

    :raises CommandError: the options do not go together, or the request cannot be read.
    """
    if asked.profile is not None and asked.ca is None:
        raise CommandError('--profile is of a CA: name it with --ca.')
    meta = {**_of_key(asked), 'name': asked.name, 'profile': asked.profile,
            'not_after': asked.not_after, 'ca_id': asked.ca and id_of(asked.ca),
            'renewal': _renewal(asked)}
    return {name: value for name, value in meta.items() if value is not None}


def _of_key(asked: Namespace) -> dict[str, Any]:
    """What a meta says of the key and the names."""
    own_key = {'algorithm': asked.algorithm, 'bit_length': asked.bit_length}
    is_new = asked.csr is None and asked.key_container is None
    if not is_new and any(value is not None for value in own_key.values()):
        raise CommandError('--algorithm and --bit-length are of a new key, and this one is not.')
    dn, names = _names(asked)
    if asked.csr is not None:
        if dn or names:
            raise CommandError('With --csr the names are those of the request.')
        return {'request_type': 'simple-cmc', 'request_data': _request(Path(asked.csr))}
    if not dn and not names:
        raise CommandError('Name what the certificate is for.')
    named = {'subject_dn': dn, 'subject_alt_names': names or None}
    if is_new:
        return {'request_type': 'new-key', **named, **own_key}
    return {'request_type': 'stored-key', **named, 'container_ref': id_of(asked.key_container)}


def _names(asked: Namespace) -> tuple[str | None, list[str]]:
    """The distinguished name and the alternative names."""
    names = [f'{prefix}:{name}' for option, prefix in _NAMES.items() for name in getattr(asked, option)]
    if not asked.subject:
        return asked.dn, names
    if '=' in asked.subject:
        if asked.dn is not None:
            raise CommandError('Give one distinguished name.')
        return asked.subject, names
    called = f'CN={asked.subject}' if len(asked.subject) <= _LONGEST_COMMON_NAME else None
    return asked.dn or called, [asked.subject, *names]


def _request(path: Path) -> str:
    """The request in a file, as orders have it: base64 of whatever is in there."""
    try:
        return base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise CommandError(f"'{path}' cannot be read: {error.strerror}.") from None


def _renewal(asked: Namespace) -> dict[str, Any] | None:
    if not asked.renew and asked.renew_at is None and not asked.same_key:
        return None
    renewal: dict[str, Any] = {'new_key': not asked.same_key}
    if asked.renew_at is not None:
        renewal['percent'] = asked.renew_at
    return renewal


def _row(service: CertificateService, order_id: str, order: dict) -> tuple:
    container_ref, certificate_id = order.get('container_ref'), None
    if container_ref:
        certificate_id = next(
            (found['certificate_id'] for found in service.versions(container_ref)
             if id_of(found['order_ref']) == order_id), None)
    return order_id, order['status'], _message(order), certificate_id, container_ref


def _message(order: dict) -> str:
    return order.get('error_reason') or order['sub_status_message']
