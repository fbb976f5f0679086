"""Lint rules that look at stages, variables and paths."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

from croze.dockerfile import lint_rules
from croze.dockerfile.convert.args import NON_ENV_ARGS, meta_args
from croze.dockerfile.instructions import Arg, Instruction, Stage
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import Ranges
from croze.dockerfile.shell import Expansion, ShellLex
from croze.errors import CrozeError
from croze.fs.match.patterns import PatternMatcher
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform
from croze.llb.env import Env
from croze.llb.meta import clean_path
from croze.patterns import lazy_pattern

_RESERVED = ("context", "scratch")
_SECRET = lazy_pattern(
    "(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE | re.ASCII,
)
_NO_SECRET = lazy_pattern("(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE | re.ASCII)


def check_stage_names(stages: Sequence[Stage], lint: Linter) -> None:
    """Lint names that are reserved, and those that two stages have."""
    seen: set[str] = set()
    for stage in stages:
        if not stage.name:
            continue
        if stage.name in _RESERVED:
            lint.run(lint_rules.RESERVED_STAGE_NAME, stage.location, stage.name)
        if stage.name in seen:
            lint.run(lint_rules.DUPLICATE_STAGE_NAME, stage.location, stage.name)
        seen.add(stage.name)


def check_casing(stages: Sequence[Stage], lint: Linter) -> None:
    """All keywords in the case that most have."""
    words = [
        (word, location)
        for stage in stages
        for word, location in (
            (stage.keyword, stage.location),
            *((i.name, i.location) for i in stage.instructions),
        )
    ]
    lower = sum(word == word.lower() for word, _ in words)
    upper = sum(word == word.upper() and word != word.lower() for word, _ in words)
    rule = lint_rules.CONSISTENT_INSTRUCTION_CASING
    for word, location in words:
        if lower > upper and word != word.lower():
            lint.run(rule, location, word, "lowercase")
        elif lower <= upper and word != word.upper():
            lint.run(rule, location, word, "uppercase")


def check_default_bases(
    stages: Sequence[Stage], lex: ShellLex, env: Env, commands: Sequence[Arg], lint: Linter
) -> None:
    """Base images that only make sense with build arguments."""
    try:
        args, _ = meta_args(env, lex, commands, {})
    except CrozeError:
        return  # the conversion itself will say so
    for stage in stages:
        try:
            name = lex.expand(stage.base, args).result
        except CrozeError:
            return
        try:
            reference.parse(name)
        except CrozeError:
            lint.run(lint_rules.INVALID_DEFAULT_ARG_IN_FROM, stage.location, stage.base)


def check_from_args(
    scopes: Sequence[Collection[str]], unmatched: Iterable[str], location: Ranges, lint: Linter
) -> None:
    """Lint arguments in a FROM line that no scope knows, with the nearest name that one does."""
    missing = [name for name in unmatched if not any(name in names for names in scopes)]
    for name in sorted(missing):
        names = sorted(set[str]().union(*scopes))
        near = lint.comparisons.suggest(name, names)
        lint.run(lint_rules.UNDEFINED_ARG_IN_FROM, location, name, near)


def check_redundant_platform(
    stage: Stage, expansion: Expansion, env: Mapping[str, str], lint: Linter
) -> None:
    """Lint `FROM --platform=$TARGETPLATFORM`, which is the default."""
    alone = expansion.matched == {"TARGETPLATFORM"} and not expansion.unmatched
    if alone and expansion.result == env.get("TARGETPLATFORM", ""):
        lint.run(lint_rules.REDUNDANT_TARGET_PLATFORM, stage.location, stage.platform)


def check_constant_platform(stage: Stage, expansion: Expansion, lint: Linter) -> None:
    """Lint a `FROM --platform` without variables, unless the stage's name says which platform it
    is."""
    if expansion.matched or expansion.unmatched:
        return
    try:
        platform = platforms.parse(expansion.result)
    except CrozeError:
        return  # the conversion itself will say so
    if platform.os not in stage.name and platform.architecture not in stage.name:
        rule = lint_rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED
        lint.run(rule, stage.location, expansion.result)


def check_base_platform(
    name: str, expected: Platform, actual: Platform, location: Ranges, lint: Linter
) -> None:
    """Lint a base image that is for another OS or architecture than was asked for."""
    if (expected.os, expected.architecture) != (actual.os, actual.architecture):
        texts = [platforms.format_all(platforms.normalize(p)) for p in (expected, actual)]
        lint.run(lint_rules.INVALID_BASE_IMAGE_PLATFORM, location, name, *texts)


def check_variables(
    unmatched: Iterable[str],
    declared: Set[str],
    env: Mapping[str, str],
    location: Ranges,
    lint: Linter,
) -> None:
    """Variables that are used but nowhere declared."""
    names = {name for name in unmatched if name not in declared}
    for name in sorted(names - NON_ENV_ARGS):
        near = lint.comparisons.suggest(name, env)
        lint.run(lint_rules.UNDEFINED_VAR, location, name, near)


def check_secret_name(instruction: str, key: str, location: Ranges, lint: Linter) -> None:
    """Lint a key of ARG or ENV that sounds like a secret: it would be in the image's history."""
    if _SECRET.search(key) and not _NO_SECRET.search(key):
        lint.run(lint_rules.SECRETS_USED_IN_ARG_OR_ENV, location, instruction, key)


def check_once(instruction: Instruction, seen: dict[str, Ranges], lint: Linter) -> None:
    """Report what is said twice: of instructions of this kind only the last counts; the one before
    is reported."""
    kind = type(instruction).__name__
    if kind in seen:
        rule = lint_rules.MULTIPLE_INSTRUCTIONS_DISALLOWED
        lint.run(rule, seen[kind], instruction.name)
    seen[kind] = instruction.location


def check_source_path(
    command: str, path: str, matcher: PatternMatcher | None, location: Ranges, lint: Linter
) -> None:
    """A path of the context that its ignore file leaves out. Silent where the file has
    exceptions: what they let in can't be told from the patterns."""
    if matcher is None or matcher.has_exclusions:
        return
    path = clean_path(path)
    if path in (".", "/") and not _ignores_all(matcher):
        return
    try:
        ignored = matcher.matches_or_parent(path)
    except CrozeError:
        return
    if ignored:
        lint.run(lint_rules.COPY_IGNORED_FILE, location, command, path)


def _ignores_all(matcher: PatternMatcher) -> bool:
    return any(str(p) in ("*", "**", "**/*") for p in matcher.patterns if not p.exclusion)
