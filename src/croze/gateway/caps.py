"""Capabilities that clients ask for before they use a feature.

Ids are BuildKit's (`frontend/gateway/pb/caps.go`, `solver/pb/caps.go`). A capability that is listed
but not enabled tells a client that this daemon knows of the feature and can't do it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Final

from croze.api import caps_pb2

FRONTEND_ENABLED: Final = frozenset(
    {
        "solve.base",
        "solve.inlinereturn",
        "importcaches",
        "resolveimage",
        "resolveimage.resolvemode",
        "readfile",
        "return",
        "returnmap",
        "readdir",
        "statfile",
        "proto.refarray",
        "reference.output",
        "frontend.inputs",
        "frontend.caps",
        "gateway.solve.metadata",
        "gateway.solve.evaluate",
        "gateway.evaluate",
        "gateway.warnings",
        "gateway.exec",
        "gateway.exec.extrahosts",
        "gateway.exec.secretenv",
        "gateway.exec.signals",
        "gateway.exec.filesystem",
        "reference.attestations",
        "source.metaresolver",
        "source.metaresolver.image.attestations",
        "source.metaresolver.http.checksumrequest",
    }
)
_DEPRECATED: Final = frozenset({"solve.inlinereturn"})

LLB_ENABLED: Final = frozenset(
    {
        "exec.meta.security.devices.v1",
        "exporter.session",
        "history.filter",
        "source.image",
        "source.image.resolvemode",
        "source.image.layerlimit",
        "source.image.checksum",
        "source.imageblob",
        "source.ocilayout",
        "source.git",
        "source.git.keepgitdir",
        "source.git.fullurl",
        "source.git.httpauth",
        "source.git.knownsshhosts",
        "source.git.mountsshsock",
        "source.git.subdir",
        "source.git.checksum",
        "source.git.skipsubmodules",
        "source.git.mtime",
        "source.git.fetchbycommit",
        "source.git.signatureverify",
        "source.git.bundle",
        "source.git.checkoutbundle",
        "source.http",
        "source.http.auth",
        "source.http.checksum",
        "source.http.perm",
        "source.http.header",
        "source.http.signatureverify",
        "source.buildop.llbfilename",
        "soruce.http.uidgid",  # spelt like this on the wire
        "source.policy",
        "source.policy.session",
        "source.local",
        "source.local.unique",
        "source.local.sessionid",
        "source.local.includepatterns",
        "source.local.followpaths",
        "source.local.excludepatterns",
        "source.local.sharedkeyhint",
        "source.local.differ",
        "source.local.metadatatransfer",
        "exec.meta.cdi",
        "exec.meta.base",
        "exec.meta.cgroup.parent",
        "exec.meta.network",
        "exec.meta.network.proxy",
        "exec.meta.proxyenv",
        "exec.meta.security",
        "exec.meta.setsdefaultpath",
        "exec.meta.ulimit",
        "exec.meta.removemountstubs.recursive",
        "exec.meta.linux.resources",
        "exec.mount.bind",
        "exec.mount.bind.readwrite-nooutput",
        "exec.mount.cache",
        "exec.mount.cache.sharing",
        "exec.mount.cache.content",
        "exec.mount.selector",
        "exec.mount.tmpfs",
        "exec.mount.tmpfs.size",
        "exec.mount.secret",
        "exec.mount.ssh",
        "exec.cgroup",
        "exec.secretenv",
        "exec.validexitcode",
        "file.base",
        "file.rm.wildcard",
        "file.rm.nofollowsymlink",
        "file.copy.includeexcludepatterns",
        "file.copy.requiredpaths",
        "file.copy.alwaysreplaceexistingdestpaths",
        "file.copy.modestring",
        "file.symlink.create",
        "constraints",
        "platform",
        "meta.ignorecache",
        "meta.description",
        "meta.exportcache",
        "mergeop",
        "diffop",
        "passthroughop",
        "exporter.image.annotations",
        "exporter.image.attestations",
        "exporter.multiple",
        "exporter.sourcedateepoch",
        "gc.freespacefilter",
        "cache.gha",
        "cache.s3",
        "cache.azblob",
    }
)


@functools.cache
def frontend_caps() -> Sequence[caps_pb2.APICap]:
    """What the bridge can do, as `Ping` answers."""
    return _list(FRONTEND_ENABLED, ())


@functools.cache
def llb_caps(enabled: frozenset[str] = LLB_ENABLED) -> Sequence[caps_pb2.APICap]:
    """What definitions may use, as `Ping` answers."""
    return _list(enabled, LLB_ENABLED - enabled)


def _list(enabled: Iterable[str], missing: Iterable[str]) -> list[caps_pb2.APICap]:
    caps = [caps_pb2.APICap(ID=id, Enabled=True, Deprecated=id in _DEPRECATED) for id in enabled]
    caps += [
        caps_pb2.APICap(
            ID=id, DisabledReason="unsupported", DisabledReasonMsg="not supported by this daemon"
        )
        for id in missing
    ]
    return sorted(caps, key=lambda cap: cap.ID)
