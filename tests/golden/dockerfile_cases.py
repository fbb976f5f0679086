"""`<case>/{Dockerfile,opts.json,want.json}`: a Dockerfile through the whole frontend."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.dockerfile import subrequests
from croze.dockerfile.lint import LintWarning
from croze.dockerfile.location import DockerfileError, locations
from croze.errors import CrozeError
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.llb.marshal import op_blobs
from croze.llb.sourcemap import SourceMap
from tests.golden.case import Case
from tests.golden.difference import MISSING, differences
from tests.golden.stub_resolver import StubResolver
from tests.golden.subject import Built, Failed, Subject
from tests.golden.trees import spans, syntax_of

_ANSWER_ORDER = ("error", "config", "syntax", "warnings", "lint", "builds", "outline", "targets")


def cases(folder: Path) -> Iterator[Case]:
    if (folder / "opts.json").is_file() and (folder / "want.json").is_file():
        yield Case("dockerfile", folder.name, lambda: check(folder))


def check(folder: Path) -> list[str]:
    path = folder / "Dockerfile"
    dockerfile = path.read_bytes() if path.is_file() else b""
    opts = json.loads((folder / "opts.json").read_bytes())
    want = json.loads((folder / "want.json").read_bytes())
    got = asyncio.run(answer(dockerfile, opts))
    if want.pop("targets_not_recorded", None):
        got.pop("targets", None)
    return compare(want, got)


def compare(want: dict[str, Any], got: dict[str, Any]) -> list[str]:
    """Differences, ops by their content where digests differ."""
    lines: list[str] = []
    for key in sorted({*want, *got}, key=_ANSWER_ORDER.index):
        if key == "builds" and key in want and key in got:
            lines += _compare_builds(want["builds"], got["builds"])
        else:
            lines += differences(want.get(key, MISSING), got.get(key, MISSING), key)
    return lines


def _compare_builds(want: list[dict[str, Any]], got: list[dict[str, Any]]) -> list[str]:
    lines = differences([b["platform"] for b in want], [b["platform"] for b in got], "platforms")
    for index, (left, right) in enumerate(zip(want, got, strict=False)):
        left_ops, right_ops = left.pop("definition"), right.pop("definition")
        wrong = _compare_ops(left_ops, right_ops, f"builds[{index}].op")
        if wrong:  # keyed by digests, these would only repeat it
            for key in ("metadata", "source", "sbom_extras"):
                left.pop(key, None)
                right.pop(key, None)
        lines += wrong + differences(left, right, f"builds[{index}]")
    return lines


def _compare_ops(want: list[dict[str, Any]], got: list[dict[str, Any]], path: str) -> list[str]:
    if [op["raw"] for op in want] == [op["raw"] for op in got]:
        return differences([op["digest"] for op in want], [op["digest"] for op in got], path)
    lines = differences(_with_numbers(want), _with_numbers(got), path)
    return lines or [f"{path}: equal ops, but other bytes or another order of fields"]


def _with_numbers(ops: list[dict[str, Any]]) -> list[Any]:
    """Ops with inputs named by position, so that one difference does not change all that follow."""
    index = {op["digest"]: f"op {number}" for number, op in enumerate(ops)}
    text = json.dumps([op["op"] for op in ops])
    for digest, name in index.items():
        text = text.replace(digest, name)
    named: list[Any] = json.loads(text)
    return named


async def answer(dockerfile: bytes, opts: dict[str, Any]) -> dict[str, Any]:
    """What the frontend makes of a case, in the form of `want.json`."""
    found: dict[str, Any] = {}
    try:
        subject = Subject(opts, _resolver(dockerfile, opts))
        found["config"] = subject.config()
        await _answer(subject, dockerfile, found)
    except Failed as failed:
        found["error"] = {
            "phase": failed.phase,
            "message": str(failed),
            "locations": [spans(ranges) for ranges in locations(failed.error)],
        }
    return found


async def _answer(subject: Subject, dockerfile: bytes, found: dict[str, Any]) -> None:
    source = await subject.read()
    syntax = syntax_of(source.data)
    if syntax is not None:
        found["syntax"] = syntax
    found["lint"] = _lint(await subject.lint(source))
    warnings: list[LintWarning] = []
    try:
        builds = await _builds(subject, source, warnings)
    finally:
        found["warnings"] = _warnings(warnings)
    found["builds"] = builds
    try:
        found["outline"] = _outline(await subject.outline(source))
    except CrozeError as err:
        found["outline"] = {"error": str(err)}
    try:
        found["targets"] = [_target(t) for t in subrequests.list_targets(source.data)]
    except DockerfileError as err:
        found["targets"] = {"error": str(err)}


async def _builds(
    subject: Subject, source: SourceMap, warnings: list[LintWarning]
) -> list[dict[str, Any]]:
    builds = []
    for index, platform in enumerate(subject.options.target_platforms or [None]):
        ignored: list[LintWarning] = []
        sink = ignored if index else warnings
        builds.append(_build(platform, await subject.build(source, platform, sink.append)))
    return builds


def _resolver(dockerfile: bytes, opts: dict[str, Any]) -> StubResolver:
    build_opts = opts.get("opts", {})
    return StubResolver(
        dockerfile=dockerfile,
        dockerfile_source=build_opts.get("dockerfilekey", "dockerfile"),
        dockerfile_name=build_opts.get("filename", "Dockerfile"),
        files=opts.get("files", {}),
        input_texts=opts.get("inputs", {}),
        workers=opts.get("worker_platforms", ["linux/amd64"]),
        disabled_caps=frozenset(opts.get("disable_caps", [])),
    )


def _build(platform: Platform | None, built: Built) -> dict[str, Any]:
    blobs = op_blobs(built.definition)
    optional: dict[str, Any] = {
        "base_image": built.base_image,
        "epoch": built.epoch,
        "sbom_extras": {
            name: [digest_of(blob) for blob in op_blobs(definition)]
            for name, definition in built.sbom_extras.items()
        }
        or None,
    }
    return {
        "platform": platforms.format_all(platform) if platform else None,
        "definition": [_op(blob) for blob in blobs],
        "metadata": _metadata(built.definition, blobs),
        "source": MessageToDict(built.definition.Source),
        "image": built.image,
        "ignore_cache": built.ignore_cache,
    } | {key: value for key, value in optional.items() if value is not None}


def _op(blob: bytes) -> dict[str, Any]:
    return {
        "digest": digest_of(blob),
        "op": MessageToDict(ops_pb2.Op.FromString(blob)),
        "raw": base64.b64encode(blob).decode(),
    }


def _metadata(definition: ops_pb2.Definition, blobs: Sequence[bytes]) -> dict[str, Any]:
    """By digest; progress groups renamed by first use."""
    found: dict[str, Any] = {}
    groups: dict[str, str] = {}
    for digest in dict.fromkeys(digest_of(blob) for blob in blobs):
        if digest not in definition.metadata:
            continue
        found[digest] = MessageToDict(definition.metadata[digest])
        group = found[digest].get("progressGroup")
        if group is not None:
            group["id"] = groups.setdefault(group["id"], f"pg{len(groups) + 1}")
    return found


def _warnings(warnings: Sequence[LintWarning]) -> list[dict[str, Any]]:
    """In order; neighbours of one rule and place sorted by message."""
    found = [
        {
            "rule": warning.rule,
            "description": warning.description,
            "url": warning.url,
            "message": warning.message,
            "ranges": spans(warning.location),
        }
        for warning in warnings
    ]
    start = 0
    for end in range(1, len(found) + 1):
        if end == len(found) or not _same_place(found[start], found[end]):
            found[start:end] = sorted(found[start:end], key=lambda w: str(w["message"]))
            start = end
    return found


def _same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["rule"] == other["rule"] and one["ranges"] == other["ranges"])


def _lint(report: subrequests.LintReport) -> dict[str, Any]:
    found: dict[str, Any] = {"warnings": _warnings(report.warnings)}
    if report.build_error is not None:
        error = report.build_error
        found["build_error"] = {"message": error.message, "ranges": spans(error.location)}
    return found


def _outline(outline: subrequests.Outline) -> dict[str, Any]:
    return {
        "name": outline.name,
        "description": outline.description,
        "args": [
            _given(name=arg.name, value=arg.value, description=arg.description)
            | {"ranges": spans(arg.location)}
            for arg in outline.args
        ],
        "secrets": [_use(use) for use in outline.secrets],
        "ssh": [_use(use) for use in outline.ssh],
    }


def _use(use: subrequests.OutlineUse) -> dict[str, Any]:
    return _given(name=use.name, required=use.required) | {"ranges": spans(use.location)}


def _given(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value}


def _target(target: subrequests.StageTarget) -> dict[str, Any]:
    return {
        "name": target.name,
        "base": target.base,
        "platform": target.platform,
        "description": target.description,
        "default": target.default,
        "ranges": spans(target.location),
    }
