"""Files that policies read: of the build context, wherever that is, and of the working directory
(`cwd://`). Nothing outside of either.

Source of the rules: buildx `build/policy_loader.go`.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from croze import llb
from croze.aio.threads import in_thread
from croze.api import ops_pb2
from croze.client.policies.source_resolver import ResultFiles, SourceResolver
from croze.errors import CrozeError, InvalidRequest, NotFound, os_reason
from croze.gotypes.quote import quote
from croze.llb.fileop import CopyOptions
from croze.llb.gitref import git_state, parse_git_ref
from croze.policy.options import PolicyPlace

_CWD = "cwd://"
_CONTEXT_FILE = "context"


class PolicyFiles:
    """Reads files for policies: the `policy.contract.PolicyFileReader` of clients."""

    def __init__(self, place: PolicyPlace, sources: SourceResolver | None) -> None:
        self._place = place
        self._sources = sources
        self._remote: ResultFiles | None = None

    async def read(self, path: str, most_bytes: int) -> bytes:
        """The first `most_bytes` of a file in the build context, or of `cwd://` in the working
        directory. Raises `NotFound`, or another `CrozeError`."""
        if not path:
            raise InvalidRequest("policy filename is empty")
        place = self._place
        if path.startswith(_CWD):
            name = path.removeprefix(_CWD)
            if not name:
                raise InvalidRequest(f"invalid policy filename {quote(path)}")
            return await in_thread(read_within, ".", posixpath.normpath(name), most_bytes)
        if place.context_definition or place.context_url:
            return await self._read_remote(path, most_bytes)
        if not place.context_dir:
            raise NotFound("file does not exist")
        name = _inside(path, place.context_dir)
        return await in_thread(read_within, place.context_dir, name, most_bytes)

    async def _read_remote(self, path: str, most_bytes: int) -> bytes:
        name = posixpath.normpath(posixpath.join("/", path)).lstrip("/")
        if not name:
            raise InvalidRequest(f"invalid remote policy filename {quote(path)}")
        definition = self._definition()
        if definition is None or self._sources is None:
            raise NotFound("file does not exist")
        try:
            if self._remote is None:
                self._remote = await self._sources.files(definition)
            await self._remote.size(name)
            return (await self._remote.read(name))[:most_bytes]
        except CrozeError as error:
            # As buildx has it, the text decides and no code: a context that is not there has no
            # policy, and what needs that context tells of it.
            text = str(error)
            if "not found" in text.lower() or "no such file" in text.lower():
                raise NotFound(text) from None
            raise CrozeError(text, *error.details) from None

    def _definition(self) -> ops_pb2.Definition | None:
        if self._place.context_definition:
            return ops_pb2.Definition.FromString(self._place.context_definition)
        url = self._place.context_url
        ref = parse_git_ref(url)
        if ref is not None:
            name = f"[internal] load git source {url}"
            return git_state(ref, options={"name": name}).marshal()
        name = "[internal] load remote build context"
        file = llb.http(url, filename=_CONTEXT_FILE, name=name)
        unpack = CopyOptions(unpack=True)
        return llb.scratch().file(llb.copy(file, _CONTEXT_FILE, "/", unpack)).marshal()


def _inside(path: str, directory: str) -> str:
    """The name below the context of a path that may be an absolute one into it."""
    if os.path.isabs(path) and os.path.isabs(directory):
        relative = os.path.relpath(path, directory)
        if relative != ".." and not relative.startswith("../"):
            return relative
    return posixpath.normpath(path)


def read_within(root: str, name: str, most_bytes: int) -> bytes:
    """The beginning of a file in a directory; links may lead about in there, not out of it.

    Raises `NotFound`, or `InvalidRequest`.
    """
    if name.startswith(("/", "../")) or name == "..":
        raise InvalidRequest(f"stat {name}: invalid argument")
    real_root = os.path.realpath(root)
    path = os.path.realpath(os.path.join(real_root, name))
    if os.path.commonpath((real_root, path)) != real_root:
        raise InvalidRequest(f"statat {name}: path escapes from parent")
    try:
        with Path(path).open("rb") as file:
            return file.read(most_bytes)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"statat {name}: no such file or directory") from None
    except OSError as error:
        raise InvalidRequest(f"open {name}: {os_reason(error)}") from None
