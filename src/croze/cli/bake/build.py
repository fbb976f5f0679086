"""Building what `croze bake` has resolved, and printing what came of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from croze.bake.printing import as_json, plain_selection
from croze.bake.requests import BuildRequest
from croze.cli.call import CallMode, Findings, answer, parse_call
from croze.cli.daemon import reaches
from croze.cli.desktop import print_details
from croze.cli.interrupted import Interruptible
from croze.cli.plugin import tool
from croze.client.builds.metadata import wants_warnings, write_metadata
from croze.files.settings import parse_json
from croze.policy.contract import DEBUG
from croze.progress.rawjson import metadata_warnings
from croze.progress.warnings import print_warnings

if TYPE_CHECKING:
    from croze.cli.bake.options import BakeTargets
    from croze.cli.bake.progress import BakeProgress
    from croze.cli.common import Common
    from croze.client.builds.targets import TargetResult
    from croze.client.planning.options import BuildOptions
    from croze.progress.display import Display


def build(
    plan: BakeTargets, args: argparse.Namespace, common: Common, progress: BakeProgress
) -> int:
    """Build all targets at once; the exit code."""
    from croze.sdk.multinode import build_all

    display, is_drawn = progress.display, progress.mode not in ("quiet", "rawjson")
    interruptible = Interruptible(min(plan.builds) if len(plan.builds) > 1 else "")
    building = build_all(
        reaches(common, key=os.getcwd()),
        _logged(plan.builds, debug=common.debug),
        display,
        common.builder,
        names=plan.names,
        provenance=bool(args.metadata_file),
        solving=interruptible.solving,
    )
    try:
        results = interruptible.run(building)
    finally:
        progress.close()
        if is_drawn:
            print_warnings(display.warnings, sys.stderr, debug=common.debug, tool=tool())
    if is_drawn:
        print_details({name: results[name].result.history_ref for name in sorted(results)})
    if args.metadata_file:
        _write_metadata(args.metadata_file, plan, results, display)
    code = _print_answers(plan, results)
    _print_messages(results)
    return code


def _logged(builds: Mapping[str, BuildOptions], *, debug: bool) -> Mapping[str, BuildOptions]:
    """What policies log is as much as all else is told."""
    if not debug:
        return builds
    return {name: replace(each, policy_log_level=DEBUG) for name, each in builds.items()}


def _write_metadata(
    path: str, plan: BakeTargets, results: Mapping[str, TargetResult], display: Display
) -> None:
    metadata: dict[str, object] = {name: results[name].metadata for name in sorted(results)}
    if display.warnings and not plan.call.name and wants_warnings():
        metadata["buildx.build.warnings"] = metadata_warnings(display.warnings)
    write_metadata(path, metadata)


def _print_messages(results: Mapping[str, TargetResult]) -> None:
    """What frontends have to say to the user."""
    for name in sorted(results):
        message = results[name].result.response.get("frontend.result.inlinemessage")
        if message is not None:
            print(f"\n# {name}\n{message}")


def _print_answers(plan: BakeTargets, results: Mapping[str, TargetResult]) -> int:
    """What targets answer that call something; the first status that is not 0 counts."""
    answers: dict[str, tuple[str, str, int]] = {}
    for name in sorted(plan.builds):
        call = parse_call(plan.requests[name].call)
        if call.name:
            form = plan.call if plan.call.name else call
            shown = CallMode(call.name, form.json, form.ignore_status)
            answers[name] = (call.name, *_answer(shown, results[name], plan.requests[name]))
    if plan.call.json:
        print(as_json(_answers_json(plan, answers)))
    else:
        for number, name in enumerate(answers):
            description = plan.selection.targets[name].description
            lines = [*([""] if number else []), name, *([description] if description else []), ""]
            sys.stdout.write("\n".join(lines) + "\n" + answers[name][1])
    codes = [code for _, _, code in answers.values()]
    return next((code for code in codes if code), 0)


def _answer(call: CallMode, result: TargetResult, request: BuildRequest) -> tuple[str, int]:
    """The text and its status. In JSON, what a check ended with is a member beside the rest."""
    inline = request.dockerfile_inline is not None
    try:
        text, code = answer(
            call, result.result.response, shown_file="inline" if inline else request.dockerfile
        )
    except Findings as error:
        if not call.json:
            return f"{error.text}error: {error}\n", 1
        value = parse_json(result.result.response["result.json"])
        text, code = json.dumps({**value, "error": str(error)}), 1
    return text, code


def _answers_json(
    plan: BakeTargets, answers: Mapping[str, tuple[str, str, int]]
) -> dict[str, dict[str, object]]:
    selection = plain_selection(plan.selection)
    targets = selection.get("target")
    shown: dict[str, object] = {}
    for name, plain in targets.items() if isinstance(targets, dict) else ():
        entry: dict[str, object] = {"build": plain}
        if name in answers:
            called, text, _ = answers[name]
            members: dict[str, object] = parse_json(text)
            entry["check" if called == "lint" else called] = dict(sorted(members.items()))
        shown[name] = entry
    groups = selection.get("group")
    return {**({"group": groups} if isinstance(groups, dict) else {}), "target": shown}
