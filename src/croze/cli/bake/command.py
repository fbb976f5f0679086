"""`croze bake`: targets from Bake and compose files, printed, listed or built."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from croze.bake.entitlements import Privileges, missing, parse_allow
from croze.bake.errors import BakeError
from croze.bake.printing import as_json, plain_selection
from croze.bake.project import load_definition
from croze.bake.requests import make_requests
from croze.bake.select import Selection, select_targets
from croze.bake.world import BakeSettings, File
from croze.cli.bake.list import parse_list, print_list
from croze.cli.bake.options import BakeTargets
from croze.cli.bake.overrides import read_overrides, read_policies, read_variables
from croze.cli.bake.privileges import ask
from croze.cli.bake.progress import BakeProgress
from croze.cli.bake.remote import HERE, Words, read_remote, read_words, with_git_access
from croze.cli.call import CallMode, parse_call
from croze.cli.daemon import reach
from croze.cli.flags import Flags, UsageError
from croze.cli.guard import interrupt_on_sigterm
from croze.cli.progress import PROGRESS
from croze.image import platform as platforms
from croze.policy.options import PolicyOption
from croze.sdk.bake_files import file_relative_paths, names_from_environment, read_local_files
from croze.sdk.bake_options import options_of
from croze.sdk.bake_world import LocalWorld, existing_path

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.builds.remote_files import RemoteFiles
    from croze.drivers.reach import Reach


_LISTED = ("targets", "variables")


@functools.cache
def flags() -> Flags:
    """The flags, in buildx's order."""
    flags = Flags("croze bake", "Build from a file", "[OPTIONS] [TARGET...]")
    flags.texts("--allow", help="Allow build to access specified resources")
    flags.text("--call", help='Set method for evaluating build ("check", "outline", "targets")')
    flags.shorthand("--check", of="call", value="check", help='Shorthand for "--call=check"')
    flags.texts("-f", "--file", help="Build definition file")
    flags.text("--list", help="List targets or variables")
    for listed in _LISTED:
        flags.choice(f"--list-{listed}", help="", hidden=True)
    flags.switch("--load", help='Shorthand for "--set=*.output=type=docker". Conditional.')
    flags.text("--metadata-file", help="Write build result metadata to a file")
    flags.choice("--no-cache", help="Do not use cache when building the image")
    flags.texts("--policy", help="Global policy evaluation options")
    flags.switch("--print", help="Print the options without building")
    flags.text("--progress", help="Set type of progress output")
    flags.text("--provenance", help='Shorthand for "--set=*.attest=type=provenance"')
    flags.choice("--pull", help="Always attempt to pull all referenced images")
    flags.switch("--push", help='Shorthand for "--set=*.output=type=registry". Conditional.')
    flags.text("--sbom", help='Shorthand for "--set=*.attest=type=sbom"')
    flags.texts("--set", help='Override target value (e.g., "targetpattern.key=value")')
    flags.texts("--var", help='Set a variable value (e.g., "name=value")')
    flags.add_argument("targets", metavar="TARGET", nargs="*")
    return flags


def run(argv: Sequence[str], common: Common) -> int:
    args = _read(argv, common)
    call = parse_call(args.call)
    policies, policy_off = read_policies(args.policy)
    overrides = [*read_overrides(args, call.name), *policies]
    allowed = parse_allow(args.allow)
    listed = _listed(args)
    mode = args.progress or "auto"
    if mode not in PROGRESS:
        raise BakeError(f"invalid progress mode {mode}")
    if args.print and listed:
        raise BakeError("--print and --list are mutually exclusive")
    words = read_words(args.targets)
    needs_builder = bool(words.url) or not (args.print or listed)
    there = reach(common) if needs_builder else None
    progress = BakeProgress(mode, there)
    interrupt_on_sigterm()
    try:
        read_files = _files(words, args, there, progress)
        world = LocalWorld()
        definition = load_definition(read_files.files, _settings(args, words), world)
        if listed:
            progress.close()
            print_list(parse_list(listed), definition)
            return 0
        selection = select_targets(definition, words.targets, overrides, world)
        _finish(selection, policy_off)
        plan = _wanted(selection, words, read_files, call)
        if args.print:
            progress.close()
            print(as_json(plain_selection(selection)))
            return 0
        _ask(allowed, plan, progress, remote=bool(words.url))
        from croze.cli.bake.build import build

        return build(plan, args, common, progress)
    finally:
        progress.close()


class _Read(Struct, frozen=True):
    """The files of a definition, and where they are from if not from here."""

    files: Sequence[File]
    remote: RemoteFiles | None = None


def _files(
    words: Words, args: argparse.Namespace, there: Reach | None, progress: BakeProgress
) -> _Read:
    names = args.file or names_from_environment()
    from_environment = bool(names) and not args.file
    here = [name.removeprefix(HERE) for name in names if not words.url or name.startswith(HERE)]
    files: list[File] = []
    remote = None
    if words.url and there is not None:
        elsewhere = [name for name in names if not name.startswith(HERE)]
        remote = read_remote(words.url, elsewhere, there, progress)
        files += [File(name, data) for name, data in remote.files]
    if here or not words.url:
        files += read_local_files(here, progress.show, from_environment=from_environment)
    if not files:
        raise BakeError("couldn't find a bake definition")
    return _Read(files, remote)


def _wanted(selection: Selection, words: Words, read_files: _Read, call: CallMode) -> BakeTargets:
    """The selected targets as builds of the client, and nothing wrong with these."""
    remote = read_files.remote
    tree = words.url if remote is not None and remote.tree is not None else None
    requests = make_requests(selection, tree)
    if tree is not None:
        requests = {name: with_git_access(each, tree) for name, each in requests.items()}
    builds = {name: options_of(each, remote) for name, each in requests.items()}
    from croze.client.planning.checks import check_options

    for name in sorted(builds):
        check_options(builds[name])
    return BakeTargets(selection, requests, builds, call, words.targets)


def _ask(allowed: Privileges, plan: BakeTargets, progress: BakeProgress, *, remote: bool) -> None:
    allowed.grant(plan.selection.granted)
    allowed.read.append(os.getcwd())
    allowed.write.append(os.getcwd())
    lacking = missing(allowed, plan.requests, existing_path)
    ask(lacking, remote=remote, may_ask=progress.mode != "rawjson", before=progress.close)


def _listed(args: argparse.Namespace) -> str:
    """What is to be listed, by the flag for it or by the old ones."""
    listing = str(args.list)
    for listed in _LISTED:
        flag = getattr(args, f"list_{listed}")
        if flag is not None:
            advice = f"list-{listed} is deprecated, use list={listed} instead"
            print(f"Flag --list-{listed} has been deprecated, {advice}", file=sys.stderr)
            listing = listing or (listed if flag else "")
    return listing


def _read(argv: Sequence[str], common: Common) -> argparse.Namespace:
    try:
        return flags().read(argv, common)
    except UsageError as error:
        raise BakeError(str(error)) from None


def _settings(args: argparse.Namespace, words: Words) -> BakeSettings:
    builtins = {
        "BAKE_CMD_CONTEXT": words.command_context,
        "BAKE_LOCAL_PLATFORM": platforms.format(platforms.default_platform()),
    }
    return BakeSettings(builtins, read_variables(args.var), file_relative_paths())


def _finish(selection: Selection, policy_off: bool) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    for target in selection.targets.values():
        if policy_off:
            target.policy = [PolicyOption(disabled=True)]
        if epoch and "SOURCE_DATE_EPOCH" not in (target.args or {}):
            target.args = {**(target.args or {}), "SOURCE_DATE_EPOCH": epoch}
