"""Who asked for a result: requests to frontends, as provenance tells them.

Source: BuildKit `docs/attestations/slsa-provenance.md`, `slsa-definitions.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct, field

from croze.attest.capture import SortedCapture
from croze.errors import InvalidRequest
from croze.files.redact import redact
from croze.image.purl import digest_set
from croze.llb.gitref import parse_git_ref

_HOST_SPECIFIC = frozenset({"cgroup-parent", "image-resolve-mode", "platform", "cache-imports"})
_CONTEXT = "context"
VCS = "vcs:"


class LentName(msgspec.Struct, frozen=True, omit_defaults=True):
    """The id of a secret or an ssh socket, and whether the build could have done without."""

    id: str = ""
    optional: bool = False


class Local(msgspec.Struct, frozen=True):
    """A directory that the client lent, by its name."""

    name: str


class ConfigSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the instructions came from."""

    uri: str = ""
    digest: Mapping[str, str] = {}
    path: str = ""


class Parameters(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a frontend was asked. Field order is that of the JSON."""

    frontend: str = ""
    args: Mapping[str, str] = {}
    secrets: tuple[LentName, ...] = ()
    ssh: tuple[LentName, ...] = ()
    locals: tuple[Local, ...] = ()
    inputs: Mapping[str, RequestProvenance] = {}
    root: RequestProvenance | None = None
    compatibility_version: int = msgspec.field(default=0, name="compatibilityVersion")

    def scrubbed(self) -> tuple[Parameters, bool]:
        """The parameters without what `mode=min` leaves out, and whether that says less than
        before."""
        private = [key for key in self.args if key.startswith(("build-arg:", "label:"))]
        inputs = {name: each.scrubbed() for name, each in self.inputs.items()}
        root, less = self.root.scrubbed() if self.root else (None, False)
        less = less or bool(private) or any(inner for _, inner in inputs.values())
        scrubbed = msgspec.structs.replace(
            self,
            args={key: value for key, value in self.args.items() if key not in private},
            secrets=(),
            ssh=(),
            inputs={name: each for name, (each, _) in inputs.items()},
            root=root,
        )
        return scrubbed, less


class RequestProvenance(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the instructions for an input came from, and what was asked of the frontend for it."""

    config_source: ConfigSource | msgspec.UnsetType = msgspec.field(
        default=msgspec.UNSET, name="configSource"
    )
    request: Parameters | None = None

    @property
    def says(self) -> bool:
        """Whether it tells more than where the instructions came from."""
        request = self.request
        return request is not None and bool(request.frontend or request.args or request.inputs)

    def alone(self) -> RequestProvenance:
        """The request without the client's request that led to it."""
        if self.request is None:
            return self
        request = msgspec.structs.replace(self.request, root=None)
        return msgspec.structs.replace(self, request=request)

    def scrubbed(self) -> tuple[RequestProvenance, bool]:
        """See `Parameters.scrubbed`."""
        if self.request is None:
            return self, False
        request, less = self.request.scrubbed()
        return msgspec.structs.replace(self, request=request), less


class AttestedRequest(Struct, frozen=True):
    """One request to a frontend. An empty `frontend` is the client's own, which asks others.
    `inputs` are what others have made, as far as that is known."""

    frontend: str
    opts: Mapping[str, str]
    inputs: Mapping[str, RequestProvenance] = field(default_factory=dict)

    @property
    def args(self) -> Mapping[str, str]:
        """The options that count: not those that are the host's, nor what is asked of
        attestations."""
        context = self.opts.get("contextkey") or _CONTEXT
        args = {}
        for key, value in self.opts.items():
            if key in _HOST_SPECIFIC or key.startswith("attest:"):
                continue
            url = key in (context, f"{VCS}source") or key.startswith(f"{_CONTEXT}:")
            args[key] = redact(value) if url else value
        return args

    def told(self, used: SortedCapture, root: AttestedRequest | None = None) -> RequestProvenance:
        """The request, with the config source among what the result was made of. `root`: the
        client's own, if that may be another one."""
        args = dict(self.args)
        source = _config_source(args, used)
        request = Parameters(frontend=self.frontend, args=args, inputs=self.inputs)
        provenance = RequestProvenance(source, request)
        first = root.told(used) if root is not None else None
        if first is None or first == provenance or not first.says:
            return provenance
        return RequestProvenance(source, msgspec.structs.replace(request, root=first))


def _config_source(args: dict[str, str], used: SortedCapture) -> ConfigSource:
    """Taken out of `args`."""
    key = args.get("contextkey") or ("input:context" if args.get("input:context") else _CONTEXT)
    context = args.pop(key) if args.get(key) else ""
    path = args.pop("filename") if args.get("filename") else ""
    uri, digest = _material(context, used) if context else ("", {})
    return ConfigSource(redact(uri), digest, path)


def _material(uri: str, used: SortedCapture) -> tuple[str, Mapping[str, str]]:
    """A context as it is told, with its digest if it is one of the materials."""
    url, plain = _git_forms(uri)
    for git in used.git:
        if git.url == plain:
            return url, commit_digest(git.commit)
    for http in used.http:
        if http.url == plain:
            return http.url, digest_set(http.digest)
    return uri, {}


def _git_forms(uri: str) -> tuple[str, str]:
    """A git address with its directory, and without."""
    try:
        ref = parse_git_ref(uri)
    except InvalidRequest:
        ref = None
    if ref is None:
        return uri, uri
    plain = f"{ref.remote}#{ref.ref}" if ref.ref else ref.remote
    if not ref.subdir:
        return plain, plain
    return f"{ref.remote}#{ref.ref}:{ref.subdir}", plain


def commit_digest(commit: str) -> dict[str, str]:
    """A commit as SLSA's digest set has it: by the length of its hash, SHA-1 or SHA-256."""
    return {"sha256" if len(commit) == 64 else "sha1": commit}
