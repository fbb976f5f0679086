"""Where a build's files come from: the Dockerfile, its ignore file, the main and named contexts.

What each attribute means follows BuildKit's `frontend/dockerui`.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from croze.api import ops_pb2
from croze.dockerfile.image_contexts import IMAGE, LAYOUT, ImageContexts
from croze.dockerfile.options import DockerfileOptions
from croze.dockerfile.resolver import DockerfileAccess, Resolver
from croze.errors import Canceled, CrozeError, InvalidRequest, NotFound, Unsupported
from croze.fs.match.ignore import read_ignore_file
from croze.fs.tar.recognize import begins_archive
from croze.gotypes.booleans import parse_bool
from croze.llb.definition import definition_to_state
from croze.llb.fileop import CopyOptions, copy
from croze.llb.gitref import GitRef, git_state, parse_git_ref
from croze.llb.meta import join_path
from croze.llb.source import http, local
from croze.llb.sourcemap import SourceMap
from croze.llb.state import State, scratch
from croze.patterns import lazy_pattern

CONTEXT: Final = "context"
DOCKERFILE: Final = "dockerfile"
DEFAULT_FILENAME: Final = "Dockerfile"
IGNORE_FILENAME: Final = ".dockerignore"
_HTTP = lazy_pattern(r"https?://")
_SNIFF_BYTES = 1024


def internal_name(name: str) -> str:
    """The progress name of a step that the user did not write."""
    return f"[internal] {name}"


class MainContext(Struct, frozen=True):
    """The main context of a build. `context` None is the client's local directory; `dockerfile`
    None its Dockerfile directory. `origin` is the git or http source itself, of which dates can be
    asked."""

    filename: str = DEFAULT_FILENAME
    dockerfile_name: str = DOCKERFILE
    """What the client calls the Dockerfile's directory."""
    context: State | None = None
    dockerfile: State | None = None
    origin: State | None = None


class FileContexts:
    """The contexts of one request, as far as files are read from them. What is read is read once,
    however many platforms ask."""

    def __init__(self, options: DockerfileOptions, files: DockerfileAccess) -> None:
        self.options = options
        self.files = files
        self._main: MainContext | None = None
        self._inputs: Mapping[str, ops_pb2.Definition] | None = None
        self._ignore: tuple[str, bytes] | None = None
        self._lock = asyncio.Lock()

    def session_of(self, name: str) -> str:
        """The session that has a local directory."""
        return self.options.local_sessions.get(name, self.files.session)

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        """The named contexts that the client gave as definitions (`FrontendInputs`), by name."""
        if self._inputs is None:
            self._inputs = await self.files.inputs()
        return self._inputs

    async def main(self) -> MainContext:
        """The main context, found out once: the client's directory, a git repository or a URL."""
        async with self._lock:
            if self._main is None:
                self._main = await self._find_main()
            return self._main

    async def read_dockerfile(self) -> SourceMap:
        """The Dockerfile, with how it was got. Its own ignore file is read on the way."""
        main = await self.main()
        state = main.dockerfile or self._local_dockerfile(main)
        definition = state.marshal()
        try:
            data = await self._read_any_case(definition, main.filename)
        except CrozeError as err:
            raise err.wrap("failed to read dockerfile") from None
        ignore_name = main.filename + IGNORE_FILENAME
        ignore = await self._read_optional(definition, ignore_name)
        if ignore is not None:
            self._ignore = (ignore_name, ignore)
        return SourceMap(main.filename, data, "Dockerfile", definition)

    async def ignore_patterns(self) -> list[str]:
        """Patterns for the main context; none if it is not a local directory."""
        main = await self.main()
        return [] if main.context is not None else await self._ignore_patterns()

    async def main_state(self, follow_paths: Sequence[str] = ()) -> State:
        """The main context, reduced to what is needed if it is a local directory."""
        main = await self.main()
        if main.context is not None:
            return main.context
        try:
            excludes = await self._ignore_patterns()
        except CrozeError as err:
            raise err.wrap("failed to read dockerignore patterns") from None
        return local(
            CONTEXT,
            session=self.session_of(CONTEXT),
            exclude=excludes,
            shared_key=CONTEXT,
            follow_paths=follow_paths,
            name=internal_name("load build context"),
        )

    async def _find_main(self) -> MainContext:
        raw = self.options.raw
        forced = "dockerfilekey" in raw
        main = MainContext(
            filename=raw.get("filename", DEFAULT_FILENAME),
            dockerfile_name=raw.get("dockerfilekey", DOCKERFILE),
        )
        address = raw.get(raw.get("contextkey", CONTEXT), "")
        if git := parse_git_ref(address):
            main = self._git_context(main, git, address)
        elif _HTTP.match(address):
            main = await self._http_context(main, address)
        elif address.startswith((IMAGE, LAYOUT)):
            main = await self._image_context(main, address)
        else:
            main = await self._input_context(main, forced)
        return self._narrowed(main, forced)

    def _git_context(self, main: MainContext, git: GitRef, address: str) -> MainContext:
        keep = parse_bool(self.options.raw.get("build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR", ""))
        dated = bool(self.options.raw.get("build-arg:SOURCE_DATE_EPOCH"))
        state = git_context_state(git, address, keep_git_dir=bool(keep), commit_times=dated)
        return MainContext(main.filename, main.dockerfile_name, state, state, state)

    async def _http_context(self, main: MainContext, address: str) -> MainContext:
        state = http(address, filename=CONTEXT, name=internal_name("load remote build context"))
        try:
            head = await self.files.read_file(state.marshal(), CONTEXT, limit_bytes=_SNIFF_BYTES)
        except CrozeError as err:
            raise err.wrap("failed to read downloaded context") from None
        if not begins_archive(head[:_SNIFF_BYTES]):
            return MainContext(CONTEXT, main.dockerfile_name, state, state, state)
        unpacked = scratch().file(copy(state, f"/{CONTEXT}", "/", CopyOptions(unpack=True)))
        return MainContext(main.filename, main.dockerfile_name, unpacked, unpacked, state)

    async def _image_context(self, main: MainContext, address: str) -> MainContext:
        """The main context in an image: to find one takes more than files, so it is refused
        here."""
        raise Unsupported(f"{address} is not supported as a context here")

    async def _input_context(self, main: MainContext, forced: bool) -> MainContext:
        inputs = await self.inputs()
        context, dockerfile = inputs.get(CONTEXT), inputs.get(main.dockerfile_name)
        return MainContext(
            main.filename,
            main.dockerfile_name,
            _input_state(context) if context is not None else None,
            _input_state(dockerfile) if dockerfile is not None and not forced else None,
        )

    def _narrowed(self, main: MainContext, forced: bool) -> MainContext:
        """The main context reduced to a directory of it, without its own Dockerfile if a local one
        is forced."""
        context, dockerfile = main.context, main.dockerfile
        subdir = self.options.raw.get("contextsubdir")
        if context is not None and subdir is not None:
            action = copy(context, subdir, "/", CopyOptions(dir_contents=True))
            context = scratch().file(action)
        return MainContext(
            main.filename,
            main.dockerfile_name,
            context,
            None if forced else dockerfile,
            main.origin,
        )

    def _local_dockerfile(self, main: MainContext) -> State:
        names = [main.filename, main.filename + IGNORE_FILENAME]
        if other := _lower_case(main.filename):
            names.append(other)
        return local(
            main.dockerfile_name,
            follow_paths=names,
            session=self.session_of(main.dockerfile_name),
            shared_key=main.dockerfile_name,
            name=internal_name(f"load build definition from {main.filename}"),
            differ="none",
        )

    async def _read_any_case(self, definition: ops_pb2.Definition, filename: str) -> bytes:
        try:
            return await self.files.read_file(definition, filename)
        except NotFound:
            other = _lower_case(filename)
            data = await self._read_optional(definition, other) if other else None
            if data is None:
                raise
            return data

    async def _read_optional(self, definition: ops_pb2.Definition, path: str) -> bytes | None:
        """A file; None where it can't be read, for whatever reason: BuildKit does not mind
        either."""
        try:
            return await self.files.read_file(definition, path)
        except Canceled:
            raise
        except CrozeError:
            return None

    async def _ignore_patterns(self) -> list[str]:
        async with self._lock:
            if self._ignore is None:
                definition = self._local_ignore_file(CONTEXT).marshal()
                data = await self._read_optional(definition, IGNORE_FILENAME)
                self._ignore = (IGNORE_FILENAME, data or b"")
        name, data = self._ignore
        try:
            return read_ignore_file(data)
        except CrozeError as err:
            raise err.wrap(f"failed parsing {name}") from None

    def _local_ignore_file(self, context: str) -> State:
        return local(
            context,
            session=self.session_of(context),
            follow_paths=[IGNORE_FILENAME],
            shared_key=f"{context}-{IGNORE_FILENAME}",
            name=internal_name(f"load {IGNORE_FILENAME}"),
            differ="none",
        )


class BuildContexts(FileContexts):
    """The contexts of one request, and whom to ask besides."""

    def __init__(self, options: DockerfileOptions, resolver: Resolver) -> None:
        super().__init__(options, resolver)
        self.resolver = resolver

    async def _image_context(self, main: MainContext, address: str) -> MainContext:
        """What BuildKit has for named contexts alone."""
        mode, label = self.options.resolve_mode, internal_name("build context")
        images = ImageContexts(self.resolver, label, CONTEXT, resolve_mode=mode)
        if address.startswith(IMAGE):
            state, _ = await images.load_image(address.removeprefix(IMAGE))
        else:
            state, _ = await images.load_layout(address.removeprefix(LAYOUT))
        return MainContext(main.filename, main.dockerfile_name, state, state)


def git_context_state(
    git: GitRef, address: str, *, keep_git_dir: bool = False, commit_times: bool = False
) -> State:
    """The source of a context that is a git address."""
    return git_state(
        git,
        keep_git_dir=keep_git_dir or bool(git.keep_git_dir),
        mtime=git.mtime or ("commit" if commit_times else ""),
        options={"name": internal_name(f"load git source {address}")},
    )


def _lower_case(filename: str) -> str:
    """`dir/dockerfile` for `dir/Dockerfile`, empty for other names."""
    directory, base = posixpath.split(filename)
    return join_path(directory, base.lower()) if base == DEFAULT_FILENAME else ""


def _input_state(definition: ops_pb2.Definition) -> State:
    if not getattr(definition, "def"):
        raise InvalidRequest("invalid nil input definition to definition op")
    return definition_to_state(definition)
