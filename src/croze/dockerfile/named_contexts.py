"""Named contexts: `context:NAME[::PLATFORM]` attributes that stand in for stages and images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from croze.dockerfile.contexts import IGNORE_FILENAME, BuildContexts, git_context_state
from croze.dockerfile.image_contexts import ImageContexts, Loaded
from croze.dockerfile.image_json import input_config
from croze.dockerfile.resolver import ReplacedImage
from croze.errors import Canceled, CrozeError, InvalidRequest
from croze.fs.match.ignore import read_ignore_file
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform
from croze.llb.definition import definition_to_state
from croze.llb.gitref import parse_git_ref
from croze.llb.graph import Deferred, Output
from croze.llb.source import http, local
from croze.llb.state import State

FollowPaths = Callable[[], Sequence[str]]
MAX_REPLACED = 10


class NamedContext(Struct, frozen=True):
    """A context that was given for a name. `key` is the name with platform, as it was given."""

    contexts: BuildContexts
    value: str
    name: str
    key: str
    platform: Platform | None
    resolve_mode: str
    follow_paths: FollowPaths | None

    async def load(self, replaced: int = 0) -> Loaded:
        """The files of the context, and the config where it is an image. `replaced`: how often
        policies have put something else in its place. Raises `CrozeError`."""
        if replaced > MAX_REPLACED:
            raise InvalidRequest(
                "context recursion limit exceeded; this may indicate a cycle in the provided "
                f"source policies: {self.value}"
            )
        scheme, colon, rest = self.value.partition(":")
        if not colon:
            raise InvalidRequest(f"invalid context specifier {self.value} for {self.key}")
        if scheme.startswith("git@"):
            scheme = "git"
        match scheme:
            case "docker-image":
                return await self._load_image(rest.removeprefix("//"), replaced)
            case "git":
                return self._load_git(), None
            case "http" | "https":
                return self._load_http(), None
            case "oci-layout":
                return await self._images.load_layout(rest.removeprefix("//"))
            case "local":
                return await self._load_local(rest), None
            case "input":
                return await self._load_input(rest)
        raise InvalidRequest(f"unsupported context source {scheme} for {self.key}")

    @property
    def _images(self) -> ImageContexts:
        resolver, label = self.contexts.resolver, f"[context {self.key}]"
        return ImageContexts(resolver, label, self.name, self.platform, self.resolve_mode)

    async def _load_image(self, ref: str, replaced: int) -> Loaded:
        try:
            return await self._images.load_image(ref)
        except ReplacedImage as other:
            scheme, _, rest = other.identifier.partition("://")
            slashes = "" if scheme in ("local", "input") else "//"
            again = structs.replace(self, value=f"{scheme}:{slashes}{rest}")
            return await again.load(replaced + 1)

    def _load_git(self) -> State:
        git = parse_git_ref(self.value)
        if git is None:
            raise InvalidRequest(f"invalid git context {self.value}")
        return git_context_state(git, self.value)

    def _load_http(self) -> State:
        if git := parse_git_ref(self.value):
            return git_context_state(git, self.value)
        return http(self.value, filename="context", name=f"[context {self.key}] {self.value}")

    async def _load_local(self, directory: str) -> State:
        session = self.contexts.session_of(directory)
        excludes = await self._local_excludes(directory, session)
        shared_key = self.contexts.options.raw.get(f"sharedkey:localdir:{self.key}", "")

        def make() -> Output | None:
            state = local(
                directory,
                session=session,
                shared_key=f"context:{self.key}-{shared_key}",
                exclude=excludes,
                follow_paths=self.follow_paths() if self.follow_paths is not None else (),
                name=f"[context {self.key}] load from client",
            )
            return state.output

        return State(Deferred(make))

    async def _local_excludes(self, directory: str, session: str) -> list[str]:
        state = local(
            directory,
            session=session,
            follow_paths=[IGNORE_FILENAME],
            shared_key=f"context:{self.key}-{IGNORE_FILENAME}",
            name=f"[context {self.key}] load {IGNORE_FILENAME}",
            differ="none",
        )
        try:
            data = await self.contexts.resolver.read_file(state.marshal(), IGNORE_FILENAME)
        except CrozeError as err:
            if isinstance(err, Canceled) or err.keeps_code:  # the client does not lend the folder
                raise
            return []
        try:
            return read_ignore_file(data)
        except CrozeError as err:
            raise err.wrap(f"failed parsing {IGNORE_FILENAME}") from None

    async def _load_input(self, name: str) -> Loaded:
        definition = (await self.contexts.inputs()).get(name)
        if definition is None:
            raise InvalidRequest(f"invalid input {name} for {self.key}")
        state = definition_to_state(definition)
        metadata = self.contexts.options.raw.get(f"input-metadata:{name}")
        if metadata is None:
            return state, None
        config = input_config(metadata, self.key)
        return (state.with_image_config(config) if config is not None else state), config


def find_named(
    contexts: BuildContexts,
    name: str,
    *,
    platform: Platform | None = None,
    resolve_mode: str = "",
    follow_paths: FollowPaths | None = None,
) -> NamedContext | None:
    """The context given for a stage or image name; one for the platform goes first."""
    try:
        parsed = reference.parse(name)
    except CrozeError as err:
        raise err.wrap(f"invalid context name {name}") from None
    name = parsed.familiar().removesuffix(":latest")
    target = platforms.normalize(platform or platforms.default_platform())
    for key in (f"{name}::{platforms.format_all(target)}", name):
        value = contexts.options.raw.get(f"context:{key}")
        if value is not None:
            return NamedContext(contexts, value, name, key, platform, resolve_mode, follow_paths)
    return None
