"""What a client can ask of a Dockerfile besides a build: outline, targets, lint.

The replies are metadata of an empty result: `result.json` for programs, `result.txt` for people,
`version`, and for lint `result.statuscode`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.dockerfile import json_values
from croze.dockerfile.instructions import parse_stages
from croze.dockerfile.lint import Linter, LintWarning
from croze.dockerfile.location import Ranges
from croze.dockerfile.parser import parse
from croze.errors import Range
from croze.excerpt import marked_lines
from croze.gotypes import gojson
from croze.gotypes.strings import from_bytes
from croze.gotypes.tabwriter import align

OUTLINE = "frontend.outline"
TARGETS = "frontend.targets"
LINT = "frontend.lint"
CONVERT_LLB = "frontend.convertllb"
DESCRIBE = "frontend.subrequests.describe"
VERSION = "1.0.0"

Reply = dict[str, bytes]


class OutlineArg(Struct, frozen=True):
    """A build argument that the target uses; `value` is its default after expansion."""

    name: str
    value: str
    description: str
    location: Ranges


class OutlineUse(Struct, frozen=True):
    """A secret or ssh agent that the target's steps ask for."""

    name: str
    required: bool
    location: Ranges


class Outline(Struct, frozen=True):
    """What a build target takes. `outline` puts the lists in order."""

    name: str
    description: str
    args: tuple[OutlineArg, ...]
    secrets: tuple[OutlineUse, ...]
    ssh: tuple[OutlineUse, ...]


class StageTarget(Struct, frozen=True):
    """A stage that can be built. Base and platform are as written."""

    name: str
    default: bool
    description: str
    base: str
    platform: str
    location: Ranges


class BuildError(Struct, frozen=True):
    """Why the Dockerfile can't be converted; places merged into one list."""

    message: str
    location: Ranges


class LintReport(Struct, frozen=True):
    """Findings in the order in which they came."""

    warnings: tuple[LintWarning, ...]
    build_error: BuildError | None = None

    @property
    def failed(self) -> bool:
        return bool(self.warnings) or self.build_error is not None


def outline(
    name: str,
    description: str,
    *,
    args: Mapping[str, OutlineArg],
    secrets: Mapping[str, OutlineUse],
    ssh: Mapping[str, OutlineUse],
) -> Outline:
    """An outline in the order of the file, names deciding within a line."""
    return Outline(
        name,
        description,
        tuple(sorted(args.values(), key=_by_place)),
        tuple(sorted(secrets.values(), key=_by_place)),
        tuple(sorted(ssh.values(), key=_by_place)),
    )


def _by_place(item: OutlineArg | OutlineUse) -> tuple[int, str]:
    return (item.location[0].start.line if item.location else 0), item.name


def list_targets(data: bytes) -> tuple[StageTarget, ...]:
    """The stages of a Dockerfile. Raises `DockerfileError`."""
    stages, _ = parse_stages(parse(data).ast, Linter())
    return tuple(
        StageTarget(
            name=stage.name,
            default=stage is stages[-1],
            description=stage.doc,
            base=stage.base,
            platform=stage.platform,
            location=stage.location,
        )
        for stage in stages
    )


def merge_locations(places: Sequence[Ranges]) -> Ranges:
    """All places of an error as one list in order of line, without overlaps."""
    merged: list[Range] = []
    for place in sorted((r for ranges in places for r in ranges), key=lambda r: r.start.line):
        if merged and place.start.line <= merged[-1].end.line:
            last = merged[-1]
            end = replace(last.end, line=max(last.end.line, place.end.line))
            merged[-1] = replace(last, end=end)
        else:
            merged.append(place)
    return tuple(merged)


def outline_reply(outline: Outline, data: bytes) -> Reply:
    """The answer to `frontend.outline`, as JSON and as text. `data`: the Dockerfile."""
    value: dict[str, object] = {
        "name": outline.name,
        "description": outline.description,
        "args": [
            {"name": arg.name}
            | gojson.omit_empty(description=arg.description, value=arg.value)
            | _place(arg.location)
            for arg in outline.args
        ],
        "secrets": [_use(use) for use in outline.secrets],
        "ssh": [_use(use) for use in outline.ssh],
        "sources": [data],
    }
    return _reply(gojson.omit_empty(**value), _outline_text(outline))


def _use(use: OutlineUse) -> dict[str, object]:
    return {"name": use.name} | gojson.omit_empty(required=use.required) | _place(use.location)


def _outline_text(outline: Outline) -> str:
    parts: list[str] = []
    if outline.name or outline.description:
        head = [("TARGET:", outline.name or "(default)")]
        if outline.description:
            head.append(("DESCRIPTION:", outline.description))
        parts.append(_table(head, padding=1))
    if outline.args:
        rows = [(arg.name, arg.value, arg.description) for arg in outline.args]
        parts.append(_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows], padding=3))
    for title, uses in (("SECRET", outline.secrets), ("SSH", outline.ssh)):
        if uses:
            named = [(use.name, "true" if use.required else "") for use in uses]
            parts.append(_table([(title, "REQUIRED"), *named], padding=3))
    return "".join(f"{part}\n" for part in parts)


def targets_reply(targets: tuple[StageTarget, ...], data: bytes) -> Reply:
    """The answer to `frontend.targets`, as JSON and as text. `data`: the Dockerfile."""
    value: dict[str, object] = {
        "targets": [
            gojson.omit_empty(
                name=target.name,
                default=target.default,
                description=target.description,
                base=target.base,
                platform=target.platform,
            )
            | _place(target.location)
            for target in targets
        ]
        or None,
        "sources": [data],
    }
    rows = [(_target_name(target), target.description) for target in targets]
    return _reply(value, _table([("TARGET", "DESCRIPTION"), *rows], padding=1))


def _target_name(target: StageTarget) -> str:
    if not target.default:
        return target.name
    return f"{target.name} (default)" if target.name else "(default)"


def lint_reply(report: LintReport, source: ops_pb2.SourceInfo) -> Reply:
    """The reply to `frontend.lint`; `source` is the Dockerfile, as in a source map."""
    value: dict[str, object] = {
        "warnings": [
            {"ruleName": warning.rule}
            | gojson.omit_empty(
                description=warning.description, url=warning.url, detail=warning.message
            )
            | {"location": json_values.location(warning.location)}
            for warning in report.warnings
        ]
        or None,
        "sources": [json_values.message(source)],
    }
    if report.build_error is not None:
        value["buildError"] = {
            "message": report.build_error.message,
            "location": json_values.location(report.build_error.location),
        }
    reply = _reply(value, lint_text(report, source.filename, source.data))
    return reply | {"result.statuscode": b"1" if report.failed else b"0"}


def lint_text(report: LintReport, filename: str, data: bytes) -> str:
    """The findings in order of line, each with its lines of the file."""

    def order(warning: LintWarning) -> tuple[int, str]:
        if not warning.location:
            return -1, warning.rule
        return warning.location[0].start.line, ""

    parts: list[str] = []
    for warning in sorted(report.warnings, key=order):
        url = f" - {warning.url}" if warning.url else ""
        parts.append(f"\nWARNING: {warning.rule}{url}\n{warning.message}\n")
        parts.append(marked_lines(filename, from_bytes(data), warning.location))
    return "".join(parts)


def describe_reply() -> Reply:
    """The list of requests. BuildKit's leaves lint out, and clients know."""
    described = (
        (OUTLINE, "List all parameters current build target supports"),
        (TARGETS, "List all targets current build supports"),
        (DESCRIBE, "List available subrequest types"),
    )
    value = [_request(name, text) for name, text in described]
    rows = [(name.removeprefix("frontend."), VERSION, text) for name, text in described]
    return _reply(value, _table([("NAME", "VERSION", "DESCRIPTION"), *rows], padding=1))


def _request(name: str, description: str) -> dict[str, object]:
    opts: list[object] | None = None
    if name == OUTLINE:
        opts = [_named("target", "Target build stage")]
    elif name == TARGETS:
        opts = []
    return {
        "name": name,
        "version": VERSION,
        "type": "rpc",
        "description": description,
        "opts": opts,
        "inputs": None,
        "metadata": [_named("result.json"), _named("result.txt")],
        "refs": None,
    }


def _named(name: str, description: str = "") -> dict[str, str]:
    return {"name": name, "description": description}


def _reply(value: object, text: str) -> Reply:
    return {
        "result.json": gojson.marshal_indent_as_is(value),
        "result.txt": text.encode("utf-8", "surrogateescape"),
        "version": VERSION.encode(),
    }


def _table(rows: Sequence[Sequence[str]], *, padding: int) -> str:
    return align("".join("\t".join(row) + "\n" for row in rows), padding=padding)


def _place(ranges: Ranges) -> dict[str, object]:
    return {"location": json_values.location(ranges)} if ranges else {}
