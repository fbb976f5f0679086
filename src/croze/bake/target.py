"""A target: what is built, and how two definitions of one become one.

None stands for what nobody has set; that is more than printing it differently, as a set value
replaces or joins what was set before and an absent one does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field, structs

from croze.bake.options.entries import (
    ATTESTS,
    CACHES,
    OUTPUTS,
    SECRETS,
    SSH,
    Attest,
    CacheEntry,
    OutputEntry,
    SecretEntry,
    SshEntry,
)
from croze.bake.options.resources import ResourceLimits
from croze.policy.options import PolicyOption

_REPLACED = (
    "context",
    "dockerfile",
    "dockerfile_inline",
    "tags",
    "target",
    "call",
    "platforms",
    "cache_to",
    "output",
    "pull",
    "no_cache",
    "network",
    "shm_size",
)
_APPENDED = ("annotations", "policy", "no_cache_filter", "ulimits", "entitlements", "inherits")


class Group(Struct):
    name: str
    targets: list[str] = field(default_factory=list)
    description: str = ""
    has_list: bool = True
    """Whether there is a list of targets at all: null is none, and a compose file without builds
    makes none."""


class Bases(Struct):
    """Directories that relative paths are based on, where files say so (file-relative paths).

    `default` is where the definition's file is; `context` and `contexts` where the values were
    written, and `context_from` names the target whose context this one takes over.
    """

    default: str | None = None
    use_default: bool = False
    context: str | None = None
    context_from: str = ""
    contexts: dict[str, str] = field(default_factory=dict)


class Target(Struct):
    """One target: its fields are those of a `target` block, with underscores for hyphens."""

    name: str = ""
    description: str = ""
    inherits: list[str] | None = None
    annotations: list[str] | None = None
    attest: list[Attest] | None = None
    context: str | None = None
    contexts: dict[str, str] | None = None
    dockerfile: str | None = None
    dockerfile_inline: str | None = None
    args: dict[str, str | None] | None = None
    labels: dict[str, str | None] | None = None
    tags: list[str] | None = None
    cache_from: list[CacheEntry] | None = None
    cache_to: list[CacheEntry] | None = None
    target: str | None = None
    secret: list[SecretEntry] | None = None
    ssh: list[SshEntry] | None = None
    platforms: list[str] | None = None
    output: list[OutputEntry] | None = None
    pull: bool | None = None
    no_cache: bool | None = None
    network: str | None = None
    no_cache_filter: list[str] | None = None
    shm_size: str | None = None
    ulimits: list[str] | None = None
    resources: ResourceLimits | None = None
    call: str | None = None
    entitlements: list[str] | None = None
    extra_hosts: dict[str, str | None] | None = None
    policy: list[PolicyOption] | None = None
    linked: bool = False
    bases: Bases = field(default_factory=Bases)

    def merge(self, other: Target) -> None:
        """Let the other definition override this one."""
        self._merge_bases(other)
        for name in _REPLACED:
            value = getattr(other, name)
            if value is not None:
                setattr(self, name, value)
        for name in _APPENDED:
            value = getattr(other, name)
            if value is not None:
                setattr(self, name, [*(getattr(self, name) or ()), *value])
        self.args = _known(self.args, other.args)
        self.labels = _known(self.labels, other.labels)
        self.extra_hosts = _known(self.extra_hosts, other.extra_hosts)
        if other.contexts:
            self.contexts = {**(self.contexts or {}), **other.contexts}
        self.attest = ATTESTS.merged(self.attest, other.attest)
        self.secret = SECRETS.merged(self.secret, other.secret)
        self.ssh = SSH.merged(self.ssh, other.ssh)
        self.cache_from = CACHES.merged(self.cache_from, other.cache_from)
        if other.resources is not None:
            self.resources = (self.resources or ResourceLimits()).merged(other.resources)
        self.description = other.description or self.description

    def _merge_bases(self, other: Target) -> None:
        before, theirs = self.bases, other.bases
        own = Bases(before.default, before.use_default, before.context, before.context_from)
        if theirs.default is not None:
            own.default, own.use_default = theirs.default, theirs.use_default
        if other.context is not None:
            own.context, own.context_from = theirs.context, theirs.context_from
        if before.contexts or theirs.contexts:
            own_contexts = {
                k: v for k, v in before.contexts.items() if k not in (other.contexts or {})
            }
            added = {k: v for k, v in theirs.contexts.items() if k in (other.contexts or {})}
            own.contexts = {**own_contexts, **added}
        self.bases = own

    def normalize(self) -> None:
        """Drop what is there twice and what is empty."""
        for name in ("annotations", "tags", "platforms", "no_cache_filter", "ulimits"):
            setattr(self, name, _unique(getattr(self, name)))
        for name, kind in (("cache_from", CACHES), ("cache_to", CACHES), ("output", OUTPUTS)):
            entries = getattr(self, name)
            setattr(self, name, kind.distinct(entries) if entries else None)
        self.attest = ATTESTS.distinct(self.attest) if self.attest else None
        self.secret = SECRETS.distinct(self.secret) if self.secret else None
        self.ssh = SSH.distinct(self.ssh) if self.ssh else None
        if self.network == "host":
            self.entitlements = [*(self.entitlements or ()), "network.host"]
        self.entitlements = _unique(self.entitlements)
        self.contexts = {k: v for k, v in (self.contexts or {}).items() if v} or None

    def copy(self) -> Target:
        """Another target with equal fields; lists and maps are shared, as nobody changes them in
        place."""
        copied = Target()
        for each in _FIELDS:
            setattr(copied, each, getattr(self, each))
        return copied


def _known(
    first: dict[str, str | None] | None, second: Mapping[str, str | None] | None
) -> dict[str, str | None] | None:
    """The entries of both maps, the second over the first; null stands for nothing."""
    if not second:
        return first
    added = {key: text for key, text in second.items() if text is not None}
    return {**(first or {}), **added} if added else first


def _unique(texts: Sequence[str] | None) -> list[str] | None:
    return None if texts is None else [each for each in dict.fromkeys(texts) if each]


_FIELDS = tuple(each.name for each in structs.fields(Target))
ATTRIBUTES: Mapping[str, str] = {
    each.name.replace("_", "-"): each.name
    for each in structs.fields(Target)
    if each.name not in ("name", "linked", "bases")
}
"""Attributes of a `target` block, and the fields that hold them."""
