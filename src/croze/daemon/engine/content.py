"""Wiring: where bytes are kept and come from (the store, registries, sessions, caches)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING

from croze.daemon.config.settings import Settings
from croze.daemon.config.toml import RegistrySection
from croze.daemon.config.toml_keys import snapshotter_named
from croze.daemon.host.helper import HostHelper
from croze.store.open import Store, open_store
from croze.workers.pool import WorkerPool

if TYPE_CHECKING:
    from croze.registry.client import Registry
    from croze.registry.hosts import RegistryConfig
    from croze.remotecache.objects.gha_signatures import Signatures
    from croze.remotecache.objects.opened import ObjectCaches
    from croze.session.manager import Sessions
    from croze.sources.content import Access
    from croze.sources.images import Images
    from croze.store.contract import BlobFetcher


class ContentServices:
    """The stores, registries and sessions from which bytes come and in which they are kept."""

    def __init__(self, store: Store, remote: RemoteContent) -> None:
        self.store = store
        self.remote = remote

    @property
    def sessions(self) -> Sessions:
        return self.remote.sessions

    def images(self) -> Images:
        """Images by name, here or in registries."""
        from croze.sources.images import Images

        store = self.store
        return Images(self.remote.access, store.blobs, store.images, store.names)


class RemoteContent:
    """Sessions, registries and caches of objects, each opened when something wants it."""

    def __init__(self, settings: Settings, helper: HostHelper) -> None:
        self._settings = settings
        self._helper = helper

    @cached_property
    def sessions(self) -> Sessions:
        from croze.session.manager import Sessions

        return Sessions(self._helper.dial)

    @cached_property
    def registry(self) -> Registry:
        from croze.registry.client import Registry

        config = self._settings.config
        return Registry(
            registry_configs(config.registry),
            max_concurrency=config.system.max_registry_concurrency,
        )

    @cached_property
    def access(self) -> Access:
        from croze.aio.locks import KeyedLocks
        from croze.sources.content import Access

        return Access(self.registry, self.sessions, KeyedLocks())

    @cached_property
    def objects(self) -> ObjectCaches:
        from croze.remotecache.objects.opened import ObjectCaches

        return ObjectCaches(_signatures(self._settings))

    def fetcher(self, origin: Mapping[str, str]) -> BlobFetcher:
        """What fetches a lazy blob that came from there."""
        from croze.remotecache.objects.opened import KINDS
        from croze.sources.content import fetcher_of

        if origin.get("kind") in KINDS:
            return self.objects.fetcher(origin)
        return fetcher_of(self.access, origin)

    async def close(self) -> None:
        """Close what was opened."""
        opened = vars(self)
        if "objects" in opened:
            await self.objects.close()
        if "registry" in opened:
            await self.registry.close()


async def open_content(
    settings: Settings, pool: WorkerPool, helper: HostHelper, stack: AsyncExitStack
) -> ContentServices:
    """The store, opened, and what is opened later. `stack` closes all."""
    remote = RemoteContent(settings, helper)
    stack.push_async_callback(remote.close)
    store = await open_store(
        settings.root,
        pool,
        snapshotter=snapshotter_named(settings.config.worker.oci.snapshotter),
        fetchers=remote.fetcher,
    )
    stack.push_async_callback(store.close)
    return ContentServices(store, remote)


def _signatures(settings: Settings) -> Signatures:
    """How caches in GitHub's service are signed."""
    from croze.remotecache.objects.gha_signatures import SignatureRules, Signatures
    from croze.sigstore.environment import TRUSTED_ROOT
    from croze.sigstore.verifier import SigstoreVerifier

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
    from croze.registry.hosts import RegistryConfig

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
