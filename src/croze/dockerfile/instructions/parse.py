"""From the syntax tree to typed instructions and stages, with BuildKit's messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from croze.dockerfile import lint_rules
from croze.dockerfile.instructions.copies import parse_add, parse_copy
from croze.dockerfile.instructions.flags import parse_flags
from croze.dockerfile.instructions.header import header
from croze.dockerfile.instructions.healthcheck import parse_healthcheck
from croze.dockerfile.instructions.run import parse_run
from croze.dockerfile.instructions.settings import (
    doc_comment,
    parse_arg,
    parse_cmd,
    parse_entrypoint,
    parse_env,
    parse_expose,
    parse_label,
    parse_maintainer,
    parse_onbuild,
    parse_shell,
    parse_stopsignal,
    parse_user,
    parse_volume,
    parse_workdir,
)
from croze.dockerfile.instructions.values import Arg, Instruction, Stage
from croze.dockerfile.line_parsers import KEYWORDS
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import DockerfileError, with_location
from croze.dockerfile.suggest import likely_first, with_suggestion
from croze.dockerfile.syntax_tree import InstructionNode
from croze.gotypes.letters import to_lower, to_upper
from croze.gotypes.quote import quote
from croze.patterns import lazy_pattern

_STAGE_NAME = lazy_pattern(r"[a-z][a-z0-9-_.]*")
_PARSERS: dict[str, Callable[[InstructionNode], Instruction]] = {
    "add": parse_add,
    "arg": parse_arg,
    "cmd": parse_cmd,
    "copy": parse_copy,
    "entrypoint": parse_entrypoint,
    "env": parse_env,
    "expose": parse_expose,
    "healthcheck": parse_healthcheck,
    "label": parse_label,
    "maintainer": parse_maintainer,
    "onbuild": parse_onbuild,
    "run": parse_run,
    "shell": parse_shell,
    "stopsignal": parse_stopsignal,
    "user": parse_user,
    "volume": parse_volume,
    "workdir": parse_workdir,
}


class _OpenStage(Struct):
    """A stage and the instructions it has so far."""

    stage: Stage
    instructions: list[Instruction] = field(default_factory=list)

    def close(self) -> Stage:
        return replace(self.stage, instructions=tuple(self.instructions))


def parse_stages(
    ast: Sequence[InstructionNode], lint: Linter
) -> tuple[tuple[Stage, ...], tuple[Arg, ...]]:
    """The stages, and the ARGs before the first of them. Raises `DockerfileError`."""
    stages: list[_OpenStage] = []
    meta_args: list[Arg] = []
    for node in ast:
        try:
            parsed = parse_instruction(node, lint)
        except DockerfileError as err:
            raise err.wrap(f"dockerfile parse error on line {node.start_line}") from None
        if isinstance(parsed, Stage):
            stages.append(_OpenStage(parsed))
        elif stages:
            stages[-1].instructions.append(parsed)
        elif isinstance(parsed, Arg):
            meta_args.append(parsed)
        else:
            orphan = DockerfileError("no build stage in current context")
            raise with_location(orphan, node.location)
    return tuple(stage.close() for stage in stages), tuple(meta_args)


def parse_command(node: InstructionNode) -> Instruction:
    """One instruction, not FROM; nothing is linted. For ONBUILD triggers."""
    parsed = parse_instruction(node, Linter())
    if isinstance(parsed, Stage):
        err = DockerfileError("*instructions.Stage is not a command type")
        raise with_location(err, node.location)
    return parsed


def parse_instruction(node: InstructionNode, lint: Linter) -> Instruction | Stage:
    """The typed form of a node. Raises `DockerfileError` with the node's place."""
    try:
        return _parse(node, lint.for_comments(node.comments))
    except DockerfileError as err:
        raise with_location(err, node.location) from None


def _parse(node: InstructionNode, lint: Linter) -> Instruction | Stage:
    keyword = node.name.lower()
    if keyword == "from":
        return _parse_from(node, lint)
    if keyword not in _PARSERS:
        names = likely_first((name.upper() for name in KEYWORDS), node.name)
        message = f"unknown instruction: {node.name}"
        raise DockerfileError(with_suggestion(message, node.name, names, case_sensitive=False))
    if keyword == "maintainer":
        lint.run(lint_rules.MAINTAINER_DEPRECATED, node.location)
    parsed = _PARSERS[keyword](node)
    if isinstance(parsed, Arg):
        _lint_description("ARG", [pair.key for pair in parsed.args], node, lint)
    return parsed


def _parse_from(node: InstructionNode, lint: Linter) -> Stage:
    _lint_from_casing(node, lint)
    name = _stage_name(node.args)
    flags = parse_flags(node.flags, values=("platform",))
    common = header(node)
    stage = Stage(
        name=name,
        base=node.args[0],
        platform=flags.values.get("platform", ""),
        keyword=node.name,
        original=common["original"],
        location=common["location"],
        comments=node.comments,
        doc=doc_comment(node.comments, name),
    )
    if name:
        _lint_description("FROM", [name], node, lint)
    return stage


def _stage_name(args: tuple[str, ...]) -> str:
    if len(args) == 3 and args[1].lower() == "as":
        if not _STAGE_NAME.fullmatch(to_lower(args[2])):
            raise DockerfileError(
                f"invalid name for build stage: {quote(args[2])},"
                " name can't start with a number or contain symbols"
            )
        return to_lower(args[2])
    if len(args) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    return ""


def _lint_from_casing(node: InstructionNode, lint: Linter) -> None:
    args = node.args
    if len(args) == 3 and args[2] != to_lower(args[2]):
        lint.run(lint_rules.STAGE_NAME_CASING, node.location, args[2])
    if len(args) < 3:
        return
    lower, upper = to_lower(node.name), to_upper(node.name)
    if node.name in (lower, upper):  # a mixture is another rule's business
        casing = to_lower(args[1]) if node.name == lower else to_upper(args[1])
        if args[1] != casing:
            lint.run(lint_rules.FROM_AS_CASING, node.location, node.name, args[1])


def _lint_description(keyword: str, names: list[str], node: InstructionNode, lint: Linter) -> None:
    if not node.comments or node.comments[-1].split(" ", 1)[0] in names:
        return
    example = names[0] if len(names) == 1 else "<arg_key>"
    lint.run(lint_rules.INVALID_DEFINITION_DESCRIPTION, node.location, keyword, example)
