"""A source as a policy sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct, field

from croze.policy.contract import PolicyEnv
from croze.signatures.gitobject import GitObject

Log = Callable[[int, str], None]


class Material(Struct, frozen=True):
    """Something that an image was made of, by its provenance."""

    uri: str
    digest: Mapping[str, str]


class AskedChecksum(Struct, frozen=True):
    digest: str
    suffix: bytes


class InputDocument(Struct):
    """A source as a policy sees it: one of `image`, `git`, `http` and `local` says of what kind it
    is."""

    kind: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Names below `input` that nobody has asked for yet, such as `image.labels`."""
    raw_materials: list[Material] = field(default_factory=list)
    materials: list[InputDocument] = field(default_factory=list)
    commit: GitObject | None = None
    tag: GitObject | None = None
    asked_checksum: AskedChecksum | None = None

    def unknowns(self, prefix: str = "input") -> Iterator[str]:
        """The full names of what is not known, those of materials too."""
        yield from (f"{prefix}.{name}" for name in self.unknown)
        for index, material in enumerate(self.materials):
            yield from material.unknowns(f"{prefix}.image.provenance.materials[{index}]")

    def plain(self, env: PolicyEnv | None = None, *, caps: bool = False, depth: int = 0) -> _Plain:
        """The document as JSON has it, in buildx's order; without `env`, it tells nothing of the
        build."""
        out: _Plain = {} if env is None else {"env": _env(env, caps, depth)}
        if not self.kind:
            return out
        fields = dict(self.fields)
        provenance = fields.get("provenance")
        if isinstance(provenance, dict) and self.materials:
            inner = [each.plain(env, caps=caps, depth=depth + 1) for each in self.materials]
            fields["provenance"] = {**provenance, "materials": inner}
        out[self.kind] = fields
        return out


_Plain = dict[str, object]


def _env(env: PolicyEnv, caps: bool, depth: int) -> _Plain:
    described = {
        "args": dict(sorted(env.args.items())),
        "labels": dict(sorted(env.labels.items())),
        "filename": env.filename,
        "target": env.target,
        "capsRequest": caps,
    }
    return {**given(described), "depth": depth}


def given(fields: Mapping[str, object]) -> _Plain:
    """The fields that are not empty, as Go leaves those out."""
    return {key: value for key, value in fields.items() if value not in ("", False, None, [], {})}
