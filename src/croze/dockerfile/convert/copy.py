"""COPY and ADD."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.checks import check_source_path
from croze.dockerfile.convert.chmod import Chmod, parse_chmod
from croze.dockerfile.convert.naming import expand_name, prefix_command, upper_keyword
from croze.dockerfile.convert.remote import add_git, add_http, is_git_source, is_http_source
from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.instructions import Add, Copy, InlineFile, SourcesAndDest
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import DockerfileError, Ranges
from croze.dockerfile.paths import is_absolute, normalize_path, strip_drive, to_slash
from croze.errors import CrozeError
from croze.fs.match.patterns import PatternMatcher
from croze.gotypes.glob import has_wildcards
from croze.gotypes.quote import quote
from croze.llb import caps
from croze.llb.compose import merge
from croze.llb.fileop import CopyOptions, FileAction, copy, mkfile, owner
from croze.llb.gitref import parse_git_ref
from croze.llb.meta import join_path
from croze.llb.options import OpOptions
from croze.llb.state import State, scratch
from croze.status import ProgressGroup


class CopyOrAdd(Struct, frozen=True):
    """COPY or ADD, whichever it is."""

    keyword: str
    original: str
    location: Ranges
    files: SourcesAndDest
    source: State
    ignore: PatternMatcher | None
    lint: Linter
    excludes: tuple[str, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None

    @property
    def is_add(self) -> bool:
        return self.keyword == "ADD"


def dispatch_copy(
    build: PlatformBuild,
    stage: StageState,
    instruction: Copy,
    sources: Sequence[StageState],
    lint: Linter,
) -> None:
    """COPY: from the context, or from the one stage or image in `sources`. Raises `DockerfileError`
    for a stage that comes later."""
    source = sources[0] if sources else None
    if source is not None and not source.dispatched:
        raise DockerfileError(
            f"cannot copy from stage {quote(instruction.from_)},"
            f" it needs to be defined before current stage {quote(stage.name)}"
        )
    transfer = CopyOrAdd(
        "COPY",
        instruction.original,
        instruction.location,
        instruction.files,
        build.context if source is None else source.state,
        build.ignore if source is None else None,
        lint,
        excludes=instruction.excludes,
        chown=instruction.chown,
        chmod=instruction.chmod,
        link=instruction.link,
        parents=instruction.parents,
    )
    _dispatch(build, stage, transfer)
    used = stage.context_paths if source is None else source.paths
    used.update(join_path("/", path) for path in instruction.files.paths)


def dispatch_add(build: PlatformBuild, stage: StageState, instruction: Add, lint: Linter) -> None:
    """ADD: from the context, URLs and git repositories."""
    transfer = CopyOrAdd(
        "ADD",
        instruction.original,
        instruction.location,
        instruction.files,
        build.context,
        build.ignore,
        lint,
        excludes=instruction.excludes,
        chown=instruction.chown,
        chmod=instruction.chmod,
        link=instruction.link,
        checksum=instruction.checksum,
        keep_git_dir=instruction.keep_git_dir,
        unpack=instruction.unpack,
    )
    _dispatch(build, stage, transfer)
    stage.context_paths.update(
        join_path("/", path)
        for path in instruction.files.paths
        if not path.startswith(("http://", "https://"))
    )


def _dispatch(build: PlatformBuild, stage: StageState, transfer: CopyOrAdd) -> None:
    os = stage.platform.os if stage.platform is not None else ""
    dest = _destination(stage.state.cwd, transfer.files.dest, os)
    options = _copy_options(transfer, parse_chmod(transfer.chmod))
    if transfer.checksum:
        _check_checksum(transfer)
    step = _Step(build, stage, transfer)
    writer = _Writer(transfer, dest, os, options, step.name)
    for path in transfer.files.paths:
        writer.add_path(path)
    for content in transfer.files.contents:
        writer.add_content(content)
    assert writer.action is not None
    step.apply(writer.action)
    stage.commit(f"{_history_text(transfer)} # buildkit", layer=True, epoch=build.epoch)


def _destination(cwd: str, dest: str, os: str) -> str:
    """The destination, absolute; a final slash says that it is a directory."""
    try:
        dest = strip_drive(dest, os, keep_slash=True)
    except CrozeError as err:
        raise err.wrap("removing drive letter") from None
    if is_absolute(dest, os):
        return normalize_path("/", dest, os, keep_slash=True)
    return normalize_path(cwd, "./" if dest in ("", ".") else dest, os, keep_slash=True)


def _copy_options(transfer: CopyOrAdd, chmod: Chmod) -> CopyOptions:
    return CopyOptions(
        mode=chmod.mode,
        mode_text=chmod.text,
        owner=owner(transfer.chown) if transfer.chown else None,
        exclude=transfer.excludes,
        create_dest=True,
    )


def _check_checksum(transfer: CopyOrAdd) -> None:
    paths = transfer.files.paths
    if len(paths) != 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if not (is_http_source(paths[0]) or is_git_source(paths[0])):
        raise DockerfileError("checksum requires HTTP(S) or Git sources")


def _history_text(transfer: CopyOrAdd) -> str:
    words = [transfer.keyword]
    words += ["--parents"] if transfer.parents else []
    words += [f"--chown={transfer.chown}"] if transfer.chown else []
    words += [f"--chmod={transfer.chmod}"] if transfer.chmod else []
    words += transfer.files.paths
    words += [f"<<{content.path}" for content in transfer.files.contents]
    return " ".join([*words, transfer.files.dest])


class _Writer:
    """Collects one file action per source."""

    def __init__(
        self, transfer: CopyOrAdd, dest: str, os: str, options: CopyOptions, name: str
    ) -> None:
        self.action: FileAction | None = None
        self._transfer = transfer
        self._dest = dest
        self._os = os
        self._options = options
        self._name = name
        self._keep_git_dir = transfer.keep_git_dir
        self._checksum = transfer.checksum

    def add_path(self, path: str) -> None:
        """A path of the source, or an address."""
        git = parse_git_ref(path)
        if git is not None and not git.maybe_local:
            self._only_add("a git ref")
            state, self._keep_git_dir, self._checksum = add_git(
                git, self._keep_git_dir, self._checksum, self._name
            )
            self._copy(state, "/", self._options)
        elif is_http_source(path):
            self._only_add("a URL")
            state, filename = add_http(path, self._checksum, self._name)
            unpack = bool(self._transfer.unpack)
            self._copy(state, filename, replace(self._options, unpack=unpack))
        else:
            self._add_file(path)

    def add_content(self, content: InlineFile) -> None:
        """A heredoc."""
        path = self._without_drive(content.path)
        data = content.data.encode("utf-8", "surrogateescape")
        state = scratch().file(
            mkfile(path, data, 0o644), name="[internal] preparing inline document"
        )
        self._copy(state, to_slash(path, self._os), self._options)

    def _add_file(self, path: str) -> None:
        transfer = self._transfer
        command = "Add" if transfer.is_add else "Copy"
        check_source_path(command, path, transfer.ignore, transfer.location, transfer.lint)
        patterns: tuple[str, ...] = ()
        required: tuple[str, ...] = ()
        if transfer.parents:
            path, pattern = self._split_parents(path)
            patterns = (pattern.removeprefix("/"),)
            if not has_wildcards(path) and not has_wildcards(pattern):
                required = (self._absolute(join_path(path, pattern)),)
        unpack = transfer.is_add if transfer.unpack is None else transfer.unpack
        options = replace(
            self._options,
            follow_symlinks=True,
            dir_contents=True,
            include=patterns,
            required=required,
            unpack=unpack,
            wildcard=True,
            empty_wildcard=True,
        )
        self._copy(transfer.source, self._absolute(path), options)

    def _split_parents(self, path: str) -> tuple[str, str]:
        """`--parents`: where the kept part begins (`/./` marks it), and the kept part."""
        parent, pivot, pattern = path.partition("/./")
        if not pivot:
            parent, pattern = "/", path
        return parent, self._absolute(pattern)

    def _absolute(self, path: str) -> str:
        try:
            return normalize_path("/", path, self._os)
        except CrozeError as err:
            raise err.wrap("removing drive letter") from None

    def _without_drive(self, path: str) -> str:
        try:
            return strip_drive(path, self._os)
        except CrozeError as err:
            raise err.wrap("removing drive letter") from None

    def _only_add(self, what: str) -> None:
        if not self._transfer.is_add:
            raise DockerfileError(f"source can't be {what} for COPY")

    def _copy(self, source: State, path: str, options: CopyOptions) -> None:
        step = copy(source, path, self._dest, options)
        self.action = step if self.action is None else self.action.then(step)


class _Step:
    """The op, or with `--link` two: the files on nothing, and those merged onto the stage."""

    def __init__(self, build: PlatformBuild, stage: StageState, transfer: CopyOrAdd) -> None:
        self._build = build
        self._stage = stage
        self._transfer = transfer
        env = stage.state.env
        self._text = upper_keyword(expand_name(build.lex, transfer.original, env))
        self.name = self._prefixed(self._text)

    def apply(self, action: FileAction) -> None:
        transfer, stage = self._transfer, self._stage
        if transfer.link and not transfer.chmod and self._build.has_cap(caps.MERGE):
            self._link(action)
        else:
            stage.state = stage.state.file(action, **self._options(self.name))

    def _link(self, action: FileAction) -> None:
        stage, id = self._stage, uuid.uuid4().hex
        stage.index -= 1
        copied = self._options(self.name)
        shown = self._prefixed(self._text)
        copied["progress_group"] = ProgressGroup(id, shown, weak=True)
        stage.index -= 1
        merged = self._options(self._prefixed(f"LINK {self._text}"))
        merged["progress_group"] = ProgressGroup(id, shown)
        files = scratch().file(action, **copied)
        result = merge([stage.state, files], **merged)
        stage.state = stage.state.with_output(result.output)

    def _prefixed(self, text: str) -> str:
        stage = self._stage
        return prefix_command(
            stage,
            text,
            with_platform=self._build.options.multi_platform,
            platform=stage.platform,
            env=stage.state.env,
        )

    def _options(self, name: str) -> OpOptions:
        options: OpOptions = {**self._build.at(self._transfer.location), "name": name}
        if self._stage.ignore_cache:
            options["ignore_cache"] = True
        return options
