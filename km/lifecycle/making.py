# SPDX-License-Identifier: Apache-2.0
"""What an order makes: which secrets, and having them made where they are kept, or here."""
from km.errors import NotSupported
from km.interfaces import KeyGenerator, KeyRequest, PairRequest, Reference
from km.lifecycle import keys
from km.lifecycle.jobs import ASYMMETRIC, Job
from km.lifecycle.keys import Wanted
from km.lifecycle.secrets import Deposit


def wanted(job: Job, *, legacy: bool) -> list[Wanted]:
    """The secrets that an order asks for.

    :param legacy: whether to make what was withdrawn.
    :raises Rejected: km makes no such keys.
    """
    algorithm, bits = job.meta['algorithm'], job.meta['bit_length']
    if job.type == ASYMMETRIC:
        keys.require_pair(algorithm, bits, legacy=legacy)
        return list(keys.PAIR if job.passphrase else keys.PAIR[:2])
    keys.require_key(algorithm, bits, legacy=legacy)
    return [Wanted(name='', secret_type='symmetric',
                   content_type=job.meta['payload_content_type'] or keys.OCTETS)]


def make(job: Job, deposits: list[Deposit]) -> list[Reference]:
    """Make what an order wants and have it kept.

    A store that makes keys itself does so, unless a passphrase, of which it knows nothing, is to
    encrypt one of them.

    :param deposits: one for each that ``wanted`` gave, in one store.
    :raises Rejected, Unavailable: as the store says.
    """
    generator = deposits[0].store.able(KeyGenerator)
    if generator and not job.passphrase:
        try:
            return _generated(generator, job, deposits)
        except NotSupported:
            pass  # of this kind it makes none
    return [deposit.store.store(deposit.request(payload))
            for deposit, payload in zip(deposits, _payloads(job), strict=True)]


def _generated(generator: KeyGenerator, job: Job, deposits: list[Deposit]) -> list[Reference]:
    owner, algorithm = job.owner.project_id, job.meta['algorithm'].lower()
    if job.type != ASYMMETRIC:
        return [generator.generate(KeyRequest(
            secret_id=deposits[0].secret_id, project_id=owner, algorithm=algorithm,
            bit_length=job.meta['bit_length']))]
    public, private = deposits
    pair = generator.generate_pair(PairRequest(
        private_id=private.secret_id, public_id=public.secret_id, project_id=owner,
        algorithm=algorithm, bit_length=job.meta['bit_length']))
    return [pair.public, pair.private]


def _payloads(job: Job) -> list[bytes]:
    if job.type == ASYMMETRIC:
        return keys.make_pair(
            job.meta['algorithm'], job.meta['bit_length'], passphrase=job.passphrase)
    return [keys.make_key(job.meta['bit_length'])]
