"""Where bytes are kept and come from: the store, registries, sessions, caches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack

from msgspec import Struct

from croze.daemon.config import RegistrySection
from croze.daemon.config_keys import snapshotter_named
from croze.daemon.outside import Outside
from croze.daemon.settings import Settings
from croze.registry.client import Registry
from croze.registry.hosts import RegistryConfig
from croze.remotecache.objects.gha_signatures import SignatureRules, Signatures
from croze.remotecache.objects.opened import KINDS as OBJECT_KINDS
from croze.remotecache.objects.opened import ObjectCaches
from croze.session.manager import Sessions
from croze.sigstore.environment import TRUSTED_ROOT
from croze.sigstore.verifier import SigstoreVerifier
from croze.sources.content import Access, Locks, fetcher_of
from croze.sources.images import Images
from croze.store.contract import BlobFetcher
from croze.store.open import Store, open_store
from croze.workers.pool import WorkerPool


class ContentServices(Struct, frozen=True):
    """The stores, registries and sessions from which bytes come and in which they are kept."""

    store: Store
    sessions: Sessions
    registry: Registry
    images: Images
    objects: ObjectCaches


async def open_content(
    settings: Settings, pool: WorkerPool, outside: Outside, stack: AsyncExitStack
) -> ContentServices:
    config = settings.config
    sessions = Sessions(outside.dial)
    registry = Registry(
        registry_configs(config.registry), max_concurrency=config.system.max_registry_concurrency
    )
    stack.push_async_callback(registry.close)
    access = Access(registry, sessions, Locks())
    objects = ObjectCaches(_signatures(settings))
    stack.push_async_callback(objects.close)

    def fetcher(origin: Mapping[str, str]) -> BlobFetcher:
        if origin.get("kind") in OBJECT_KINDS:
            return objects.fetcher(origin)
        return fetcher_of(access, origin)

    store = await open_store(
        settings.root,
        pool,
        snapshotter=snapshotter_named(config.worker.oci.snapshotter),
        fetchers=fetcher,
    )
    stack.push_async_callback(store.close)
    images = Images(access, store.blobs, store.images)
    return ContentServices(store, sessions, registry, images, objects)


def _signatures(settings: Settings) -> Signatures:
    """How caches in GitHub's service are signed."""
    gha = settings.config.cache.gha
    policy = gha.verify.policy
    return Signatures(
        SigstoreVerifier(settings.root / "policy", os.environ.get(TRUSTED_ROOT, "")),
        apart=gha.sign is not None or gha.verify.required,
        command=gha.sign.command if gha.sign is not None else (),
        required=gha.verify.required,
        rules=SignatureRules(policy.fields, policy.timestamp_threshold, policy.tlog_threshold),
    )


def registry_configs(configured: Mapping[str, RegistrySection]) -> dict[str, RegistryConfig]:
    """The file's `[registry."host"]` tables, for the client."""
    return {
        host: RegistryConfig(
            mirrors=tuple(entry.mirrors),
            http=entry.http,
            insecure=entry.insecure,
            ca=tuple(entry.ca),
            keypairs=tuple((pair.key, pair.cert) for pair in entry.keypair),
            tls_config_dirs=tuple(entry.tlsconfigdir),
        )
        for host, entry in configured.items()
    }
