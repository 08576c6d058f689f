# SPDX-License-Identifier: Apache-2.0
"""The tree of resources, and the Pecan application around it."""
import pecan
from webob import Response

from km.api import (
    acls,
    authorities,
    certificates,
    consumers,
    containers,
    metadata,
    orders,
    quotas,
    schemas,
    secrets,
    stores,
    transport_keys,
    versions,
)
from km.api.resource import Application, House, HouseResource, Resource, shown, verb
from km.db.models import CONTAINER, SECRET


class V1(HouseResource):
    """``/v1``"""

    @verb(answers={200: schemas.exactly({'version': versions.VERSION})})
    def get(self) -> Response:
        """The version document."""
        return shown({'version': versions.document(
            pecan.request.environ, self.house.links)})


def tree(house: House | None) -> Resource:
    """Every resource of the API; with no house, what ``km.api.openapi`` tells of."""
    collections: dict[str, Resource] = {
        'secrets': secrets.Secrets(house, member=secrets.Secret(
            house,
            payload=secrets.Payload(house),
            **{'secret-store': Resource(member=stores.StoreOfSecret(house))},
            metadata=metadata.Metadata(house, member=metadata.Metadatum(house)),
            **_of_either(house, SECRET))),
        'containers': containers.Containers(house, member=containers.Container(
            house,
            secrets=containers.ContainerSecrets(house),
            **_of_either(house, CONTAINER))),
        'orders': orders.Orders(house, member=orders.Order(
            house, approve=orders.Approval(house), cancel=orders.Cancellation(house),
            revoke=certificates.RevocationOfOrder(house))),
        'certificates': certificates.Certificates(house, member=certificates.Certificate(
            house, renew=certificates.Renewal(house), revoke=certificates.Revocation(house))),
        'quotas': quotas.Quotas(house),
        'project-quotas': quotas.AllProjectQuotas(house, member=quotas.ProjectQuotas(house)),
        'secret-stores': _stores(house),
        'transport_keys': transport_keys.TransportKeys(
            house, member=transport_keys.TransportKey(house)),
        'transport_key': transport_keys.CurrentTransportKey(house),
        'cas': _authorities(house),
    }
    return Resource(v1=V1(house, **collections))


def _of_either(house: House | None, kind: str) -> dict[str, Resource]:
    """What secrets and containers have alike."""
    return {
        'acl': acls.Acl(house, kind=kind),
        'consumers': consumers.Consumers(
            house, kind=kind, member=consumers.Consumer(house, kind=kind)),
    }


def _stores(house: House | None) -> Resource:
    named: dict[str, Resource] = {
        'global-default': stores.GlobalDefault(house),
        'preferred': stores.Preferred(house, member=stores.PreferredOfProject(house)),
    }
    return stores.Stores(house, **named, member=stores.Store(
        house, preferred=stores.Preference(house, member=stores.PreferenceOfProject(house))))


def _authorities(house: House | None) -> Resource:
    named: dict[str, Resource] = {
        'all': authorities.AllAuthorities(house),
        'preferred': authorities.Preferred(house),
        'global-preferred': authorities.GlobalPreferred(house),
        'unset-global-preferred': authorities.UnsetGlobalPreferred(house),
    }
    below: dict[str, Resource] = {
        'cacert': authorities.Certificate(house),
        'intermediates': authorities.Intermediates(house),
        'projects': authorities.Projects(house),
        'add-to-project': authorities.AddToProject(house),
        'remove-from-project': authorities.RemoveFromProject(house),
        'set-preferred': authorities.SetPreferred(house),
        'set-global-preferred': authorities.SetGlobalPreferred(house),
    }
    return authorities.Authorities(house, **named, member=authorities.Authority(house, **below))


def application(house: House) -> Application:
    """The WSGI app that answers what the middleware lets through."""
    return Application(tree(house))
