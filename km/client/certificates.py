# SPDX-License-Identifier: Apache-2.0
"""``openstack certificate list|show|renew|revoke``: what was issued."""
from argparse import ArgumentParser, Namespace
from urllib.parse import quote

from osc_lib.cli.format_columns import ListColumn, ListDictColumn
from osc_lib.command import command

from km.client import certificate_chain
from km.client.certificate_orders import ORDER_COLUMNS, add_waiting, shown_order
from km.client.certificate_service import CertificateService
from km.client.service import id_of

_LISTED = {'ID': 'certificate_id', 'Names': 'names', 'Issuer': 'issuer', 'Status': 'status',
           'Version': 'version', 'Days left': 'days_left', 'Not after': 'not_after',
           'Container href': 'container_ref'}
_SHOWN = {
    'Certificate ID': 'certificate_id', 'Subject': 'subject', 'Names': 'names', 'Issuer': 'issuer',
    'Serial': 'serial', 'SHA-256 fingerprint': 'sha256_fingerprint', 'Status': 'status',
    'Version': 'version', 'Current': 'is_current', 'Not before': 'not_before',
    'Not after': 'not_after', 'Days left': 'days_left', 'Renew at': 'renew_at',
    'Renewal failures': 'renewal_failures', 'Renewal order href': 'renewal_order_ref',
    'Revoked': 'revoked', 'Revocation reason': 'revocation_reason', 'Profile': 'profile',
    'CA href': 'ca_ref', 'Order href': 'order_ref', 'Container href': 'container_ref'}
#: The secrets that it is kept in.
_SECRETS = {
    'Certificate secret': 'certificate', 'Intermediates secret': 'intermediates',
    'Private key secret': 'private_key', 'Passphrase secret': 'private_key_passphrase'}
_REVOKED = {'Certificate ID': 'certificate_id', 'Status': 'status', 'Revoked': 'revoked',
            'Revocation reason': 'revocation_reason'}
#: Those of RFC 5280, 5.3.1.
REASONS = ('unspecified', 'keyCompromise', 'cACompromise', 'affiliationChanged', 'superseded',
           'cessationOfOperation', 'certificateHold', 'removeFromCRL', 'privilegeWithdrawn',
           'aACompromise')


class ListCertificates(command.Lister):
    """List the certificates in use, the first to end first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--expires-before', metavar='<time>',
                            help='Those that end before this time (ISO 8601, UTC)')
        parser.add_argument('--container', metavar='<container>',
                            help='That of a container (href or ID), and those it had before')
        parser.add_argument('--limit', metavar='<number>', type=int, help='So many at most')
        return parser

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        found = service.pages(f'/certificates?{_query(parsed_args)}', 'certificates',
                              most=parsed_args.limit)
        return tuple(_LISTED), [_row(one, _LISTED) for one in found]


class ShowCertificate(command.ShowOne):
    """Show a certificate: what it says, how it stands, and where it and its key are kept"""

    def get_parser(self, prog_name):
        parser = add_certificate(super().get_parser(prog_name))
        parser.add_argument('--chain', action='store_true',
                            help='Show what it and the certificates above it say, its issuer first')
        return parser

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        found = service.certificate(parsed_args.certificate)
        columns = *_SHOWN, *_SECRETS
        row = *_row(found, _SHOWN), *_row(found['secret_refs'], _SECRETS)
        if parsed_args.chain:
            return (*columns, 'Chain'), (*row, ListDictColumn(_chain(service, found['secret_refs'])))
        return columns, row


class RenewCertificate(command.ShowOne):
    """Have a certificate renewed now; its container has the new one then"""

    def get_parser(self, prog_name):
        return add_waiting(add_certificate(super().get_parser(prog_name)))

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        certificate_id = service.certificate(parsed_args.certificate)['certificate_id']
        placed = service.post(f'/certificates/{certificate_id}/renew')
        return ORDER_COLUMNS, shown_order(service, id_of(placed['order_ref']), parsed_args)


class RevokeCertificate(command.ShowOne):
    """Have a certificate revoked by its CA.

    Its status is REVOKING until its CA has done so, which is asked again and again.
    """

    def get_parser(self, prog_name):
        parser = add_certificate(super().get_parser(prog_name))
        parser.add_argument('--reason', choices=REASONS, default=REASONS[0],
                            help='Why; "removeFromCRL" takes back "certificateHold"')
        parser.add_argument('--invalidity-date', metavar='<time>',
                            help='Since when its key is not to be trusted (ISO 8601, UTC)')
        return parser

    def take_action(self, parsed_args):
        service = CertificateService.of(self.app.client_manager)
        path = f'/certificates/{service.certificate(parsed_args.certificate)["certificate_id"]}'
        body = {'reason': parsed_args.reason}
        if parsed_args.invalidity_date is not None:
            body['invalidity_date'] = parsed_args.invalidity_date
        service.post(f'{path}/revoke', body)
        return tuple(_REVOKED), _row(service.get(path), _REVOKED)


def add_certificate(parser: ArgumentParser) -> ArgumentParser:
    """``parser`` with the argument that ``CertificateService.certificate`` takes."""
    parser.add_argument('certificate', metavar='<certificate>',
                        help='Certificate (href or ID), or the href of the container it is in')
    return parser


def _query(asked: Namespace) -> str:
    """The filters of a list; each ends with what the next one begins after."""
    query = ''
    if asked.expires_before is not None:
        query += f'expires_before={quote(asked.expires_before, safe="")}&'
    if asked.container is not None:
        query += f'container_id={id_of(asked.container)}&'
    return query


def _row(found: dict, columns: dict[str, str]) -> tuple:
    return tuple(_cell(found, field) for field in columns.values())


def _cell(found: dict, field: str) -> object:
    value = found.get(field)
    return ListColumn(value) if isinstance(value, list) else value


def _chain(service: CertificateService, secret_refs: dict[str, str]) -> list[dict[str, str]]:
    return [told for name in ('certificate', 'intermediates') if name in secret_refs
            for told in certificate_chain.described(service.payload(secret_refs[name]))]
