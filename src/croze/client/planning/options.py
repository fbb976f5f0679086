"""The options of a build, as buildx has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO

from msgspec import Struct, field

from croze.client.flags.output import OutputFlag
from croze.client.plan import SecretFrom
from croze.policy.contract import INFO
from croze.policy.options import PolicyOption


class BuildOptions(Struct, frozen=True):
    """The options of a build; texts are in the grammar of buildx's flags."""

    context: str = "."
    dockerfile: str = ""
    dockerfile_inline: str | None = None
    dockerfile_read: bytes | None = None
    """What the daemon has read where `dockerfile` is a URL."""
    tags: Sequence[str] = ()
    target: str = ""
    build_args: Sequence[str] | Mapping[str, str] = ()
    build_contexts: Sequence[str] | Mapping[str, str] = ()
    context_input: bytes = b""
    """A definition in place of the context, which is then what users know it by."""
    build_context_inputs: Mapping[str, bytes] = field(default_factory=dict)
    """The same for named contexts."""
    platforms: Sequence[str] = ()
    labels: Sequence[str] | Mapping[str, str] = ()
    annotations: Sequence[str] = ()
    secrets: Sequence[str | SecretFrom] = ()
    ssh: Sequence[str] = ()
    no_cache: bool = False
    no_cache_filter: Sequence[str] = ()
    pull: bool = False
    outputs: Sequence[str | OutputFlag] = ()
    push: bool = False
    load: bool = False
    cache_from: Sequence[str] = ()
    cache_to: Sequence[str] = ()
    add_hosts: Sequence[str] = ()
    network: str = ""
    shm_size: str | int = 0
    ulimits: Sequence[str] = ()
    resources: Sequence[str] = ()
    cgroup_parent: str = ""
    allow: Sequence[str] = ()
    attests: Sequence[str] = ()
    provenance: str = ""
    sbom: str = ""
    policies: Sequence[PolicyOption] = ()
    """What `--policy` says."""
    policy_log_level: int = INFO
    """The log level of policies that have no level of their own; see `policy.contract`."""
    call: str = ""
    """A subrequest such as `outline`; `check` is `lint`. Empty or `build`: a build."""
    iidfile: str = ""
    metadata_file: str = ""
    ref: str = ""
    stdin: BinaryIO | None = None
    frontend_attrs: Mapping[str, str] = field(default_factory=dict)
    """Attributes beyond what options stand for."""

    @property
    def secret_flags(self) -> list[str]:
        """The secrets that are in the flags' grammar."""
        return [secret for secret in self.secrets if isinstance(secret, str)]


def call_name(call: str) -> str:
    """The subrequest a `--call` stands for; empty for a build."""
    name = call.partition(",")[0].removeprefix("format=")
    return {"build": "", "check": "lint"}.get(name, name)
