"""`SOURCE_DATE_EPOCH`: a number, or the name of something that has a date."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from msgspec import Struct

from croze.api import ops_pb2
from croze.dockerfile.contexts import BuildContexts
from croze.dockerfile.convert.remote import is_http_source, url_filename
from croze.dockerfile.instructions import Add, Arg, Stage
from croze.dockerfile.location import DockerfileError, with_location
from croze.dockerfile.named_contexts import find_named
from croze.dockerfile.shell import ShellLex
from croze.errors import CrozeError
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.image.reference import check_digest
from croze.llb.definition import source_ops
from croze.llb.env import Env
from croze.llb.gitref import git_state, parse_git_ref
from croze.llb.source import http, source
from croze.llb.state import State

ARG = "SOURCE_DATE_EPOCH"


class EpochArgs(Struct):
    """The arguments, in which the date is replaced by its number."""

    build_args: dict[str, str]
    global_args: Env

    def value(self) -> str | None:
        """What was asked for; None if nothing was."""
        if ARG in self.build_args:
            return self.build_args[ARG]
        return self.global_args.get(ARG) or None

    def settle(self, epoch: int | None) -> None:
        """Put the number in place of what was asked for, or remove it where there is none."""
        if ARG in self.build_args:
            del self.build_args[ARG]
            if epoch is not None:
                self.build_args[ARG] = str(epoch)
        if ARG in self.global_args:
            self.global_args = (
                self.global_args.without(ARG)
                if epoch is None
                else self.global_args.set(ARG, str(epoch))
            )


async def resolve_epoch(
    value: str, args: EpochArgs, contexts: BuildContexts, stages: Sequence[Stage], lex: ShellLex
) -> int | None:
    """Unix seconds; None where there is no date."""
    if not value:
        return None
    try:
        return parse_int(value)
    except CrozeError:
        state, log_name = await _find_state(value, args, contexts, stages, lex)
    return await _date_of(state, contexts, log_name)


async def _find_state(
    value: str, args: EpochArgs, contexts: BuildContexts, stages: Sequence[Stage], lex: ShellLex
) -> tuple[State, str]:
    if value == "context":
        return await contexts.main_state(), "[internal] resolve main build context metadata"
    if named := find_named(contexts, value):
        state, _ = await named.load()
        return state, f"[internal] resolve SOURCE_DATE_EPOCH named context {value}"
    for stage in stages:
        if stage.name == value:
            try:
                state = _stage_source(stage, args, lex)
            except CrozeError as err:
                raise with_location(err, stage.location) from None
            return state, f"[internal] resolve SOURCE_DATE_EPOCH source stage {stage.name}"
    raise DockerfileError(f"invalid SOURCE_DATE_EPOCH: {value}")


def _stage_source(stage: Stage, args: EpochArgs, lex: ShellLex) -> State:
    """The one source that a stage made for this purpose adds to nothing."""
    env = args.global_args.without(ARG)
    try:
        base = lex.expand(stage.base, env).result
    except CrozeError as err:
        raise err.wrap(f"failed to process source stage base name {quote(stage.base)}") from None
    if base != "scratch":
        raise DockerfileError("SOURCE_DATE_EPOCH stage must use FROM scratch")
    origin: State | None = None
    for instruction in stage.instructions:
        match instruction:
            case Arg():
                env = _declare(instruction, env, args.build_args, lex)
            case Add():
                if origin is not None:
                    raise _not_one()
                origin = _added(instruction, env, lex)
            case _:
                raise DockerfileError(
                    "SOURCE_DATE_EPOCH stage does not meet source-only requirements:"
                    f" unsupported {instruction.name} instruction"
                )
    if origin is None:
        raise _not_one()
    return origin


def _not_one() -> DockerfileError:
    return DockerfileError("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD")


def _declare(arg: Arg, env: Env, build_args: Mapping[str, str], lex: ShellLex) -> Env:
    for pair in arg.args:
        if pair.key in build_args:
            env = env.set(pair.key, build_args[pair.key])
        elif pair.value is not None:
            env = env.set(pair.key, lex.expand(pair.value, env).result)
    return env


def _added(add: Add, env: Env, lex: ShellLex) -> State:
    if add.files.contents or len(add.files.paths) != 1:
        raise DockerfileError("SOURCE_DATE_EPOCH stage must contain exactly one remote ADD source")
    path = lex.expand(add.files.paths[0], env).result
    checksum = lex.expand(add.checksum, env).result
    if is_http_source(path):
        if checksum:
            check_digest(checksum)
        return http(path, filename=url_filename(path), checksum=checksum)
    git = parse_git_ref(path)
    if git is not None and not git.maybe_local:
        keep = bool(add.keep_git_dir) or bool(git.keep_git_dir)
        return git_state(git, keep_git_dir=keep, checksum=checksum)
    raise DockerfileError("SOURCE_DATE_EPOCH stage source must be a single HTTP(S) or Git ADD")


async def _date_of(state: State, contexts: BuildContexts, log_name: str) -> int | None:
    """The commit's date, the download's, or of an archive that of its newest file."""
    sources = source_ops(state.marshal())
    if len(sources) != 1:
        return None
    op = sources[0]
    is_http = op.identifier.startswith(("http://", "https://"))
    meta = await contexts.resolver.source_meta(op, log_name=log_name)
    if meta.committer_time is not None:
        return meta.committer_time
    if meta.last_modified is not None:
        return meta.last_modified
    filename = op.attrs.get("http.filename", "")
    if not is_http or not filename:
        return None
    return await _newest_file(op, filename, contexts)


async def _newest_file(op: ops_pb2.SourceOp, filename: str, contexts: BuildContexts) -> int | None:
    import tarfile  # of which nothing else here needs anything

    state = source(op.identifier, op.attrs)
    data = await contexts.resolver.read_file(state.marshal(), filename)
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            dates = [int(member.mtime) for member in archive if member.isfile()]
    except (tarfile.TarError, OSError, EOFError):
        return None
    return max(dates, default=None)
