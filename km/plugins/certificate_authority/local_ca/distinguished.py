# SPDX-License-Identifier: Apache-2.0
"""The distinguished names of signers (RFC 5280, 4.1.2.4)."""
import hashlib
import re

from cryptography import x509
from cryptography.x509.oid import NameOID

from km.plugins.certificate_authority.local_ca.drafts import der

_LONGEST_CN = 64
_BLANKS = re.compile(r'(?<!\\),\s+')
#: SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), and AlgorithmIdentifier of its signatures.
_ED25519 = der(0x30, bytes.fromhex('06032b6570'))
_SOME_KEY = der(0x30, _ED25519 + der(0x03, bytes(33)))


def parse(text: str) -> x509.Name:
    """A name as an operator writes it: RFC 4514, also with blanks after its commas.

    :raises ValueError: it is none.
    """
    try:
        return x509.Name.from_rfc4514_string(_BLANKS.sub(',', text.strip()))
    except ValueError:
        raise ValueError(f"'{text}' is no name such as CN=Example CA,O=Example,C=CH "
                         '(RFC 4514)') from None


def load(content: bytes) -> x509.Name:
    """A Name from its DER.

    :raises ValueError: it is none.
    """
    # Of what cryptography reads, a request is the smallest that has a name in it.
    request = der(0x30, b'\x02\x01\x00' + content + _SOME_KEY + b'\xa0\x00')
    return x509.load_der_x509_csr(der(0x30, request + _ED25519 + der(0x03, bytes(65)))).subject


def compared(name: x509.Name) -> list[list[tuple[str, str]]]:
    """What names have in common that verifiers take for one: RFC 5280, 7.1, without the subtleties of
    Unicode. Each is the OID and the value of an attribute."""
    return [sorted((attribute.oid.dotted_string, ' '.join(str(attribute.value).casefold().split()))
                   for attribute in rdn) for rdn in name.rdns]


def digest(name: x509.Name) -> str:
    """The same as 64 hexadecimal digits."""
    return hashlib.sha256(repr(compared(name)).encode()).hexdigest()


def of_generation(name: x509.Name, generation: int) -> x509.Name:
    """The name of the successor that has this number: after the first, its CN ends in ``G2`` and so on.

    CRLs are told apart by the name of who issues them, so no two keys share one.
    """
    if generation == 1:
        return name
    common = str(name.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    suffix = f' G{generation}'
    return with_common_name(name, common[:_LONGEST_CN - len(suffix)] + suffix)


def with_common_name(name: x509.Name, common: str) -> x509.Name:
    """The same name with another CN; it is the last attribute then, if there was none."""
    sets = [rdn for rdn in name.rdns if not rdn.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return x509.Name([*sets, x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, common)])])


def require_common_name(name: x509.Name) -> None:
    """Insist on exactly one CN, alone in its set, and no longer than RFC 5280 has them.

    :raises ValueError: a sentence says what is wrong.
    """
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(found) != 1 or not str(found[0].value).strip():
        raise ValueError('an authority has exactly one CN')
    if any(len(rdn) > 1 and rdn.get_attributes_for_oid(NameOID.COMMON_NAME) for rdn in name.rdns):
        raise ValueError('the CN of an authority stands alone')
    if len(str(found[0].value)) > _LONGEST_CN:
        raise ValueError(f'a CN has at most {_LONGEST_CN} characters')
