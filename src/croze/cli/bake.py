"""`croze bake`: targets from Bake and compose files, printed, listed or built."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from croze.bake.entitlements import missing, parse_allow
from croze.bake.errors import BakeError
from croze.bake.options.entries import canonical_attest
from croze.bake.options.policy import Policy, parse_policy
from croze.bake.printing import as_json, plain_selection
from croze.bake.project import load_definition
from croze.bake.requests import make_requests
from croze.bake.select import Selection, select_targets
from croze.bake.world import File, Settings
from croze.cli.bake_files import file_relative_paths, names_from_environment, read_local_files
from croze.cli.bake_list import parse_list, print_list
from croze.cli.bake_options import options_of
from croze.cli.bake_privileges import ask
from croze.cli.bake_remote import HERE, Words, read_remote, read_words, with_git_secrets
from croze.cli.bake_world import LocalWorld, existing_path
from croze.cli.build import progress_mode
from croze.cli.call import parse_call
from croze.cli.flags import Flags, UsageError
from croze.image import platform as platforms
from croze.quote import quote

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.options import BuildOptions


_LISTED = ("targets", "variables")


@functools.cache
def flags() -> Flags:
    """The flags, in buildx's order."""
    made = Flags("croze bake", "Build from a file", "[OPTIONS] [TARGET...]")
    made.texts("--allow", help="Allow build to access specified resources")
    made.text("--call", help='Set method for evaluating build ("check", "outline", "targets")')
    made.shorthand("--check", of="call", value="check", help='Shorthand for "--call=check"')
    made.texts("-f", "--file", help="Build definition file")
    made.text("--list", help="List targets or variables")
    for listed in _LISTED:
        made.choice(f"--list-{listed}", help="", hidden=True)
    made.switch("--load", help='Shorthand for "--set=*.output=type=docker". Conditional.')
    made.text("--metadata-file", help="Write build result metadata to a file")
    made.choice("--no-cache", help="Do not use cache when building the image")
    made.texts("--policy", help="Global policy evaluation options")
    made.switch("--print", help="Print the options without building")
    made.text("--progress", help="Set type of progress output")
    made.text("--provenance", help='Shorthand for "--set=*.attest=type=provenance"')
    made.choice("--pull", help="Always attempt to pull all referenced images")
    made.switch("--push", help='Shorthand for "--set=*.output=type=registry". Conditional.')
    made.text("--sbom", help='Shorthand for "--set=*.attest=type=sbom"')
    made.texts("--set", help='Override target value (e.g., "targetpattern.key=value")')
    made.texts("--var", help='Set a variable value (e.g., "name=value")')
    made.add_argument("targets", metavar="TARGET", nargs="*")
    return made


def run(argv: Sequence[str], common: Common) -> int:
    read = _read(argv, common)
    call = parse_call(read.call)
    overrides = _overrides(read, call.name)
    policies, policy_off = _policies(read.policy)
    allowed = parse_allow(read.allow)
    listed = _listed(read)
    progress_mode(read.progress, command="croze bake")
    if read.print and listed:
        raise BakeError("--print and --list are mutually exclusive")
    words = read_words(read.targets)
    files = _files(words, read, common)
    if not files:
        raise BakeError("couldn't find a bake definition")
    world = LocalWorld()
    definition = load_definition(files, _settings(read, words), world)
    if listed:
        print_list(parse_list(listed), definition)
        return 0
    selection = select_targets(definition, words.targets, [*overrides, *policies], world)
    _finish(selection, policy_off)
    requests = {
        name: with_git_secrets(request, words.url)
        for name, request in make_requests(selection, _tree(words.url)).items()
    }
    builds = {name: options_of(request) for name, request in requests.items()}
    _check(builds)
    if read.print:
        print(as_json(plain_selection(selection)))
        return 0
    allowed.grant(selection.granted)
    allowed.read.append(os.getcwd())
    allowed.write.append(os.getcwd())
    wanted = missing(allowed, requests, existing_path)
    ask(wanted, remote=bool(words.url), may_ask=read.progress != "rawjson")
    from croze.cli.bake_build import Wanted, build

    return build(Wanted(selection, requests, builds, call), read, common)


def _listed(read: argparse.Namespace) -> str:
    """What is to be listed, by the flag for it or by the old ones."""
    found = str(read.list)
    for listed in _LISTED:
        wanted = getattr(read, f"list_{listed}")
        if wanted is not None:
            advice = f"list-{listed} is deprecated, use list={listed} instead"
            print(f"Flag --list-{listed} has been deprecated, {advice}", file=sys.stderr)
            found = found or (listed if wanted else "")
    return found


def _read(argv: Sequence[str], common: Common) -> argparse.Namespace:
    try:
        return flags().read(argv, common)
    except UsageError as error:
        raise BakeError(str(error)) from None


def _check(builds: Mapping[str, BuildOptions]) -> None:
    from croze.client.checks import check_options

    for name in sorted(builds):
        check_options(builds[name])


def _files(words: Words, read: argparse.Namespace, common: Common) -> list[File]:
    names = read.file or names_from_environment()
    if not words.url:
        return read_local_files([name.removeprefix(HERE) for name in names])
    there = [name for name in names if not name.startswith(HERE)]
    files = read_remote(words.url, there, read.progress, common)
    here = [name.removeprefix(HERE) for name in names if name.startswith(HERE)]
    return files + (read_local_files(here) if here else [])


def _tree(url: str) -> str | None:
    """The address of the files that targets' contexts are among, if these are not here."""
    from croze.client.inputs import is_git

    return url if url and is_git(url) else None


def _settings(read: argparse.Namespace, words: Words) -> Settings:
    builtins = {
        "BAKE_CMD_CONTEXT": words.command_context,
        "BAKE_LOCAL_PLATFORM": platforms.format(platforms.default_platform()),
    }
    return Settings(builtins, _variables(read.var), file_relative_paths())


def _variables(given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        if not text:
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise BakeError(f"invalid variable {quote(text)}, expected key=value")
        if not name:
            raise BakeError(f"invalid variable {quote(text)}, key is empty")
        found[name] = value
    return found


def _overrides(read: argparse.Namespace, call: str) -> list[str]:
    """What the shorthand flags stand for, after what is set in so many words."""
    found = list(read.set)
    if read.push:
        found.append("*.push=true")
    if read.load:
        found.append("*.load=true")
    if call:
        found.append(f"*.call={call}")
    for flag, key in ((read.no_cache, "no-cache"), (read.pull, "pull")):
        if flag is not None:
            found.append(f"*.{key}={'true' if flag else 'false'}")
    for kind in ("sbom", "provenance"):
        text = getattr(read, kind)
        if text:
            found.append(f"*.attest={canonical_attest(kind, text)}")
    return found


def _policies(given: Sequence[str]) -> tuple[list[str], bool]:
    """Policies for all targets as overrides, and whether they are turned off altogether."""
    parsed = [parse_policy(text) for text in given]
    for policy in parsed:
        where = "define policy files in the bake definition"
        if policy.files:
            raise BakeError(f"--policy does not accept filename; {where}")
        if policy.reset:
            where = "define policy composition in the bake definition"
            raise BakeError(f"--policy does not accept reset; {where}")
        if policy.disabled:
            if policy.strict is not None or policy.log_level is not None or len(parsed) > 1:
                raise BakeError("disabled policy cannot be combined with other policy flags")
            return [], True
    return [f"*.policy+={text}" for text in given], False


def _finish(selection: Selection, policy_off: bool) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    for target in selection.targets.values():
        if policy_off:
            target.policy = [Policy(disabled=True)]
        if epoch and "SOURCE_DATE_EPOCH" not in (target.args or {}):
            target.args = {**(target.args or {}), "SOURCE_DATE_EPOCH": epoch}
