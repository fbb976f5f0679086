"""Building what `croze bake` has resolved, and printing what came of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from croze.bake.printing import as_json, plain_selection
from croze.bake.requests import BuildRequest
from croze.bake.select import Selection
from croze.cli.build import interrupt_on_sigterm, progress_mode, tool
from croze.cli.call import Call, Findings, answer, parse_call
from croze.cli.daemon import Reach, reaches
from croze.errors import Unsupported
from croze.files.atomic import write_atomically

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.options import BuildOptions
    from croze.client.targets import TargetResult
    from croze.progress.display import Display


@dataclass(frozen=True)
class Wanted:
    selection: Selection
    requests: Mapping[str, BuildRequest]
    builds: Mapping[str, BuildOptions]
    call: Call
    """What `--call` says: its format counts for every target that calls something, if given."""


def refuse_policies(requests: Mapping[str, BuildRequest]) -> None:
    """Raises `Unsupported`: a policy that is not asked would let through what it forbids."""
    for name, request in requests.items():
        if any(not policy.disabled for policy in request.policy):
            raise Unsupported(
                f"target {name}: policy: source policies in Rego are not evaluated here yet; "
                "build without them by --policy disabled=true"
            )


def build(wanted: Wanted, read: argparse.Namespace, common: Common) -> int:
    refuse_policies(wanted.requests)
    mode = progress_mode(read.progress, command="croze bake")
    there = reaches(common)
    interrupt_on_sigterm()
    results = asyncio.run(_build(wanted, there, mode, read.metadata_file, common))
    if read.metadata_file:
        found = {name: results[name].metadata for name in sorted(results)}
        text = json.dumps(found, indent=2)
        write_atomically(Path(read.metadata_file), text.encode())
    return _print_answers(wanted, results)


async def _build(
    wanted: Wanted, there: Sequence[Reach], mode: str, metadata_file: str, common: Common
) -> dict[str, TargetResult]:
    from croze.cli.parted_build import build_all
    from croze.progress.display import make_display
    from croze.progress.warnings import print_warnings

    def warn(display: Display) -> None:
        if mode != "quiet":
            print_warnings(display.warnings, sys.stderr, debug=common.debug, tool=tool())

    return await build_all(
        there,
        wanted.builds,
        make_display(mode, sys.stderr.buffer),
        common,
        warn,
        provenance=bool(metadata_file),
    )


def _print_answers(wanted: Wanted, results: Mapping[str, TargetResult]) -> int:
    """What targets answer that call something; the first status that is not 0 counts."""
    found: dict[str, tuple[str, str, int]] = {}
    for name in sorted(wanted.builds):
        call = parse_call(wanted.requests[name].call)
        if call.name:
            form = wanted.call if wanted.call.name else call
            shown = Call(call.name, form.json, form.ignore_status)
            found[name] = (call.name, *_answer(shown, results[name], wanted.requests[name]))
    if wanted.call.json:
        print(as_json(_answers_json(wanted, found)))
    else:
        for number, name in enumerate(found):
            description = wanted.selection.targets[name].description
            lines = [*([""] if number else []), name, *([description] if description else []), ""]
            sys.stdout.write("\n".join(lines) + "\n" + found[name][1])
    codes = [code for _, _, code in found.values()]
    return next((code for code in codes if code), 0)


def _answer(call: Call, result: TargetResult, request: BuildRequest) -> tuple[str, int]:
    try:
        return answer(call, result.result.response, shown_file=request.dockerfile)
    except Findings as error:
        if call.json:
            return error.text, 1
        return f"{error.text}error: {error}\n", 1


def _answers_json(
    wanted: Wanted, found: Mapping[str, tuple[str, str, int]]
) -> dict[str, dict[str, object]]:
    selection = plain_selection(wanted.selection)
    targets = selection.get("target")
    shown: dict[str, object] = {}
    for name, plain in targets.items() if isinstance(targets, dict) else ():
        entry: dict[str, object] = {"build": plain}
        if name in found:
            called, text, _ = found[name]
            entry["check" if called == "lint" else called] = json.loads(text)
        shown[name] = entry
    groups = selection.get("group")
    return {**({"group": groups} if isinstance(groups, dict) else {}), "target": shown}
