# SPDX-License-Identifier: Apache-2.0
"""Names of a request in the spelling of EJBCA, for end entities, which it makes certificates from."""
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from km.interfaces import NotSupported, Rejected

_ATTRIBUTES = {
    NameOID.COMMON_NAME: 'CN', NameOID.ORGANIZATION_NAME: 'O', NameOID.ORGANIZATIONAL_UNIT_NAME: 'OU',
    NameOID.COUNTRY_NAME: 'C', NameOID.LOCALITY_NAME: 'L', NameOID.STATE_OR_PROVINCE_NAME: 'ST',
    NameOID.SERIAL_NUMBER: 'SN', NameOID.EMAIL_ADDRESS: 'E', NameOID.GIVEN_NAME: 'GIVENNAME',
    NameOID.SURNAME: 'SURNAME', NameOID.DOMAIN_COMPONENT: 'DC', NameOID.USER_ID: 'UID',
    NameOID.TITLE: 'T', NameOID.STREET_ADDRESS: 'STREET', NameOID.POSTAL_CODE: 'POSTALCODE',
    NameOID.ORGANIZATION_IDENTIFIER: 'ORGANIZATIONIDENTIFIER',
}
_KINDS: dict[type[x509.GeneralName], str] = {
    x509.DNSName: 'dNSName', x509.IPAddress: 'iPAddress', x509.RFC822Name: 'rfc822Name',
    x509.UniformResourceIdentifier: 'uniformResourceIdentifier'}
_SPECIAL = set(',+"\\<>;=')


def subject_dn(csr: x509.CertificateSigningRequest) -> str:
    """The subject of a request; EJBCA takes no empty one, so then it is the first alternative name.

    :raises NotSupported: it has an attribute that km cannot spell.
    :raises Rejected: it has characters that are no text, or there is no name at all.
    """
    parts = []
    for rdn in reversed(csr.subject.rdns):  # RFC 4514, 2.1
        for attribute in rdn:
            known = _ATTRIBUTES.get(attribute.oid)
            if known is None or len(rdn) > 1:
                raise NotSupported('The subject has attributes that km cannot tell EJBCA.')
            parts.append(f'{known}={_escaped(str(attribute.value))}')
    if parts:
        return ','.join(parts)
    names = _alternative_names(csr)
    if not names:
        raise Rejected('The request names nobody.')
    return f'CN={_escaped(str(names[0].value))}'


def subject_alt_name(csr: x509.CertificateSigningRequest) -> str:
    """The alternative names of a request; empty if it has none.

    :raises NotSupported: one is of a kind that km cannot spell.
    :raises Rejected: one has characters that are no text.
    """
    return ', '.join(f'{_KINDS[type(name)]}={_escaped(str(name.value))}'
                     for name in _alternative_names(csr))


def _alternative_names(csr: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        extension = csr.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return []
    names = list(extension.value)  # type: ignore[call-overload]
    if not all(type(name) in _KINDS for name in names):
        raise NotSupported('There are alternative names of kinds that km cannot tell EJBCA.')
    return names


def _escaped(text: str) -> str:
    """A value as RFC 4514, 2.4, has it."""
    if not text.isprintable() or text != text.strip():
        raise Rejected('A name has characters in it that no name should have.')
    escaped = ''.join(f'\\{character}' if character in _SPECIAL else character for character in text)
    return f'\\{escaped}' if escaped.startswith('#') else escaped
