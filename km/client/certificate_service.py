# SPDX-License-Identifier: Apache-2.0
"""Asking the service about certificates: in the version of its API that has them, and for payloads."""
import time
from typing import Any

from keystoneauth1.adapter import Adapter
from keystoneauth1.exceptions import ClientException
from osc_lib.exceptions import CommandError

from km.client.plugin import DEFAULT_API_VERSION
from km.client.service import Service, id_of

_SERVICE_TYPE = 'key-manager'
#: The first that has certificates.
_MICROVERSION = '1.4'
_SPOKEN = 'OpenStack-API-Version', f'{_SERVICE_TYPE} {_MICROVERSION}'
_PENDING, _ERROR = 'PENDING', 'ERROR'
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_MOST_OF_A_PAGE = 100


class CertificateService(Service):
    """The service as ``Service`` asks it, about certificates and their orders.

    All that it raises is ``CommandError`` or keystoneauth's.
    """

    @classmethod
    def of(cls, clients: Any) -> 'CertificateService':
        """The one that the session of ``clients``, osc_lib's ``ClientManager``, finds."""
        return cls(_InItsVersion(
            clients.session, service_type=_SERVICE_TYPE, interface=clients.interface,
            region_name=clients.region_name, version=DEFAULT_API_VERSION))

    def payload(self, secret_ref: str) -> bytes:
        """The payload of a secret. It is in no log, whatever ``openstack --debug`` shows else."""
        path = f'/secrets/{id_of(secret_ref)}/payload'
        answer = self._adapter.get(path, raise_exc=False, log=False,
                                   headers={'Accept': 'application/octet-stream'})
        if answer.status_code >= 400:
            raise CommandError(f'The payload of {secret_ref} cannot be read: {answer.reason} '
                               f'(HTTP {answer.status_code})')
        return answer.content

    def pages(self, path: str, collection: str, *, most: int | None = None) -> list[dict]:
        """What is in a list, over all its pages.

        :param path: with a query, to which that of a page is added.
        :param most: how many at most; None for all.
        """
        found: list[dict] = []
        while most is None or len(found) < most:
            size = _MOST_OF_A_PAGE if most is None else min(most - len(found), _MOST_OF_A_PAGE)
            page = self.get(f'{path}limit={size}&offset={len(found)}')
            found += page[collection]
            if not page[collection] or len(found) >= page['total']:
                break
        return found

    def certificate(self, asked: str) -> dict:
        """A certificate: of its reference or id; or the one in use in the container of a reference."""
        if '/containers/' not in asked:
            return self.get(f'/certificates/{id_of(asked)}')
        for found in self.versions(asked):
            if found['is_current']:
                return found
        raise CommandError(f'There is no certificate of an order in {asked}.')

    def versions(self, container_ref: str) -> list[dict]:
        """The certificate in a container, and those it had before."""
        return self.pages(f'/certificates?container_id={id_of(container_ref)}&', 'certificates')

    def settled(self, order_id: str, *, seconds: int) -> dict:
        """An order once it is not pending any more, asked for again and again.

        :raises CommandError: it failed, or is pending still when the time is over; or as ``placed``
            says. Each sentence names the order.
        """
        ends, pause = time.monotonic() + seconds, _FIRST_PAUSE
        while (order := self.placed(order_id))['status'] == _PENDING:
            left = ends - time.monotonic()
            if left <= 0:
                raise CommandError(f'Order {order_id} is pending still after {seconds} seconds: '
                                   f'{order["sub_status_message"]}')
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        if order['status'] == _ERROR:
            raise CommandError(f'Order {order_id} failed: {order["error_reason"]} '
                               f'({order["error_status_code"]})')
        return order

    def placed(self, order_id: str) -> dict:
        """An order that this command has placed.

        :raises CommandError: as ``get`` says, and which order it is: nobody knows that yet.
        """
        try:
            return self.get(f'/orders/{order_id}')
        except (CommandError, ClientException) as error:
            raise CommandError(
                f'Order {order_id} was placed, and cannot be asked for: {error}') from None


class _InItsVersion(Adapter):
    """Asks in that version of the API, and says so if who answers does not speak it."""

    def request(self, url: str, method: str, **request: Any) -> Any:
        answer = super().request(url, method, **{**request, 'microversion': _MICROVERSION})
        name, spoken = _SPOKEN
        # A service that is older refuses the version, or has not these paths.
        if answer.status_code in (404, 406) and answer.headers.get(name) != spoken:
            raise CommandError(
                f'The key manager does not speak version {_MICROVERSION} of its API, which has '
                f'certificates. (HTTP {answer.status_code})')
        return answer
