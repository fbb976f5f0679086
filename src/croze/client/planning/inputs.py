"""What a build reads: the context, the Dockerfile and named contexts, as parts of a plan.

Rules and messages: buildx `build/opt.go` (loadInputs).
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct, field

from croze.client.plan import LocalDir, SolvePlan
from croze.client.planning.folders import check_folder
from croze.errors import InvalidRequest, NotFound, os_reason
from croze.fs.tar.recognize import begins_archive
from croze.gotypes.booleans import parse_bool
from croze.policy.options import PolicyPlace, WantedFile

HEADER_BYTES = 1024
_QUERY_AS_INPUT = "BUILDX_SEND_GIT_QUERY_AS_INPUT"


class Inputs(Struct, frozen=True):
    """What a build is to read, as the user wrote it: paths, addresses, `-` for standard input."""

    context: str
    dockerfile: str = ""
    """A path, a URL, `-`, or empty for `Dockerfile` in the context."""
    dockerfile_read: bytes | None = None
    """What the daemon has read at that URL."""
    dockerfile_inline: str | None = None
    contexts: Mapping[str, str] = field(default_factory=dict)
    stdin: BinaryIO | None = None
    """None: this process's standard input."""
    context_input: bytes = b""
    """A definition that gives the context and the Dockerfile in it; `context` is its address."""
    context_inputs: Mapping[str, bytes] = field(default_factory=dict)
    """Definitions that give named contexts."""


def is_http(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def is_remote(text: str) -> bool:
    """Whether a text is an HTTP URL or a git reference."""
    return is_http(text) or is_git(text)


def is_git(text: str) -> bool:
    from croze.llb.gitref import is_git_ref

    return is_git_ref(text)


def is_git_over_ssh(text: str) -> bool:
    """Whether a git repository is one that needs an SSH agent."""
    from croze.llb import giturl

    try:
        return giturl.parse_git_url(text).scheme == "ssh"
    except InvalidRequest:
        return False


def load(inputs: Inputs, plan: SolvePlan) -> None:
    """Put what `inputs` name into the plan. Temporary files go when the plan is closed."""
    if not inputs.context:
        raise InvalidRequest('please specify build context (e.g. "." for the current directory)')
    loader = _Loader(inputs, plan)
    loader.load_context()
    loader.load_dockerfile()
    loader.place_policy()
    for name, value in inputs.contexts.items():
        loader.load_named(name, value)
    if loader.caps:
        caps = filter(None, plan.frontend_attrs.get("frontend.caps", "").split(","))
        plan.frontend_attrs["frontend.caps"] = ",".join(sorted(loader.caps.union(caps)))


def reads_stdin(context: str, dockerfile: str) -> bool:
    """Whether `load` waits for who writes to standard input."""
    return "-" in (context, dockerfile)


class _Loader:
    def __init__(self, inputs: Inputs, plan: SolvePlan) -> None:
        self.inputs = inputs
        self.plan = plan
        self.caps: set[str] = set()
        self.dockerfile_text: bytes | None = None
        self.dockerfile_dir = ""
        self.dockerfile_name = inputs.dockerfile

    # -- the context --

    def load_context(self) -> None:
        context = self.inputs.context
        if self.inputs.context_input:
            self._from_definition(context)
        elif context == "-":
            self._from_stdin()
        elif os.path.isdir(context):
            self._from_dir(context)
        elif context.startswith("oci-layout://"):
            self._from_remote(self._layout(context))
        elif context.startswith("docker-image://") or is_remote(context):
            self._from_remote(context)
        else:
            message = f'unable to prepare context: path "{context}" not found'
            raise InvalidRequest(message)

    def _stdin(self) -> io.BufferedReader:
        stdin = self.inputs.stdin or sys.stdin.buffer
        # Raw: a read that waits holds the lock of a buffer, which the end of the process wants.
        return io.BufferedReader(_RawInput(getattr(stdin, "raw", stdin)), HEADER_BYTES * 8)

    def _from_stdin(self) -> None:
        if self.inputs.dockerfile == "-":
            raise InvalidRequest(
                "invalid argument: can't use stdin for both build context and dockerfile"
            )
        file = self._stdin()
        header = file.peek(HEADER_BYTES)
        if not header:
            return
        if begins_archive(header):
            id = os.urandom(13).hex()
            self.plan.uploads[id] = file
            self.plan.frontend_attrs["context"] = f"http://buildkit-session/{id}"
            return
        if self.inputs.dockerfile:
            raise InvalidRequest(
                "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles"
            )
        self.dockerfile_text = file.read()
        self.plan.local_dirs["context"] = LocalDir(self._temporary("empty"))

    def _from_dir(self, context: str) -> None:
        self.plan.local_dirs["context"] = LocalDir(Path(context))
        self.plan.shared_key = os.path.basename(os.path.abspath(context))
        dockerfile = self.inputs.dockerfile
        if dockerfile == "-":
            self.dockerfile_text = self._stdin().read()
        elif not dockerfile:
            self.dockerfile_dir = context
        else:
            self.dockerfile_dir = os.path.dirname(dockerfile) or "."
            self.dockerfile_name = os.path.basename(dockerfile)

    def _from_definition(self, context: str) -> None:
        for name in ("context", "dockerfile"):
            self.plan.frontend_inputs[name] = self.inputs.context_input
        if is_git(context):
            self.plan.frontend_attrs["input:context"] = context
        self._dockerfile_beside_remote()

    def _from_remote(self, context: str) -> None:
        self._dockerfile_beside_remote()
        self.plan.frontend_attrs["context"] = context
        self._note_query(context, "context")

    def _dockerfile_beside_remote(self) -> None:
        """A Dockerfile of this machine for a context elsewhere."""
        dockerfile = self.inputs.dockerfile
        if dockerfile == "-":
            self.dockerfile_text = self._stdin().read()
        elif os.path.isabs(dockerfile):
            self.dockerfile_dir = os.path.dirname(dockerfile)
            self.dockerfile_name = os.path.basename(dockerfile)
            self.plan.frontend_attrs["dockerfilekey"] = "dockerfile"

    def _note_query(self, url: str, name: str) -> None:
        """A git URL with a query needs a frontend that knows of them; or what it means is sent, for
        any frontend."""
        if "?" not in url or not is_git(url):
            return
        if parse_bool(os.environ.get(_QUERY_AS_INPUT, "")):
            self._send_git(url, name)
        else:
            suffix = "" if name == "context" else "+forward"
            self.caps.add(f"moby.buildkit.frontend.gitquerystring{suffix}")

    def _send_git(self, url: str, name: str) -> None:
        from croze.llb.gitref import git_state, parse_git_ref

        ref = parse_git_ref(url)
        assert ref is not None
        attrs = self.plan.frontend_attrs
        title = f"[internal] load git source {url}"
        if name == "context":
            keep = parse_bool(attrs.get("build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR", ""))
            state = git_state(ref, keep_git_dir=bool(keep), options={"name": title})
            definition = state.marshal().SerializeToString()
            self.plan.frontend_inputs[name] = definition
            dockerfile = self.inputs.dockerfile
            if dockerfile != "-" and not os.path.isabs(dockerfile) and not is_http(dockerfile):
                self.plan.frontend_inputs["dockerfile"] = definition
            del attrs[name]
        else:
            state = git_state(ref, options={"name": title})
            self.plan.frontend_inputs[f"git_state_{name}"] = state.marshal().SerializeToString()
            attrs[name] = f"input:git_state_{name}"
        attrs[f"input:{name}"] = url

    def _temporary(self, what: str) -> Path:
        from croze.fs.temporary import HeldDirectory

        held = HeldDirectory(what)
        self.plan.clean_up.append(held.close)
        return Path(held.path)

    # -- the Dockerfile --

    def load_dockerfile(self) -> None:
        source = self.inputs.dockerfile or os.path.join(self.inputs.context, "Dockerfile")
        if self.inputs.dockerfile_inline is not None:
            self.dockerfile_text = self.inputs.dockerfile_inline.encode()
            source = "inline"
        elif self.inputs.dockerfile == "-":
            source = "stdin"
        elif is_http(self.inputs.dockerfile):
            self.dockerfile_text = self.inputs.dockerfile_read
            assert self.dockerfile_text is not None, "see `with_remote_dockerfile`"
        if self.dockerfile_text is not None:
            folder = self._temporary("dockerfile")
            (folder / "Dockerfile").write_bytes(self.dockerfile_text)
            self.dockerfile_dir, self.dockerfile_name = str(folder), "Dockerfile"
            self.plan.frontend_attrs["dockerfilekey"] = "dockerfile"
        name = self.dockerfile_name or "Dockerfile"
        if self.dockerfile_dir:
            check_folder(self.dockerfile_dir)
            self.plan.local_dirs["dockerfile"] = LocalDir(Path(self.dockerfile_dir))
            name = _spelled(self.dockerfile_dir, name)
        self.plan.frontend_attrs["filename"] = name
        self.plan.dockerfile_name = (name, source)

    # -- the policy beside it --

    def place_policy(self) -> None:
        """`Dockerfile.rego` beside a Dockerfile of this machine; or one that may be in a context
        elsewhere."""
        context = self.inputs.context
        is_local = "context" in self.plan.local_dirs
        definition = self.inputs.context_input or b""
        url = "" if is_local or definition or not is_remote(context) else context
        file = f"{self.plan.frontend_attrs['filename']}.rego"
        name = os.path.normpath(os.path.join(self.dockerfile_dir, file))
        beside: WantedFile | None = WantedFile(name, optional=True)
        if self.dockerfile_dir and not (url or definition):
            beside = _policy_file(name)
        directory = str(self.plan.local_dirs["context"].path) if is_local else ""
        self.plan.policy_place = PolicyPlace(beside, directory, url, definition)

    # -- named contexts --

    def load_named(self, name: str, value: str) -> None:
        self.caps.add("moby.buildkit.frontend.contexts+forward")
        attrs = self.plan.frontend_attrs
        if name in self.inputs.context_inputs:
            attrs[f"context:{name}"] = f"input:{name}"
            self.plan.frontend_inputs[name] = self.inputs.context_inputs[name]
            if is_git(value):
                attrs[f"input:git_state_{name}"] = value
        elif value.startswith(("docker-image://", "target:")) or is_remote(value):
            attrs[f"context:{name}"] = value
            self._note_query(value, f"context:{name}")
        elif value.startswith("oci-layout://"):
            attrs[f"context:{name}"] = self._layout(value)
        else:
            self._named_dir(name, value)

    def _layout(self, value: str) -> str:
        from croze.client.layouts import ociindex

        path, tag, digest = ociindex.parse(value)
        if not digest:
            try:
                digest = ociindex.resolve(Path(path), tag)
            except (NotFound, InvalidRequest) as error:
                prefix = f'oci-layout reference "{value}" could not be resolved'
                raise error.wrap(prefix) from None
        # The same in the next build, for whose daemon the request is then the same.
        store = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:26]
        self.plan.layouts[store] = Path(path)
        return f"oci-layout://{store}{':' + tag if tag else ''}@{digest}"

    def _named_dir(self, name: str, value: str) -> None:
        try:
            os.stat(value)
        except (OSError, ValueError) as error:
            why = os_reason(error) if isinstance(error, OSError) else "invalid argument"
            message = f"failed to get build context {name}: stat {value}: {why}"
            raise NotFound(message) from None
        if not os.path.isdir(value):
            raise InvalidRequest(f"failed to get build context path {value}: not a directory")
        local = f"_{name}" if name in ("context", "dockerfile") else name
        self.plan.local_dirs[local] = LocalDir(Path(value))
        self.plan.frontend_attrs[f"context:{name}"] = f"local:{local}"
        shared = os.path.basename(os.path.abspath(value))
        self.plan.frontend_attrs[f"sharedkey:localdir:{name}"] = shared


def _policy_file(name: str) -> WantedFile | None:
    """A file for a policy; None if it isn't there."""
    try:
        data = Path(name).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        reason = f"open {name}: {os_reason(error)}"
        raise InvalidRequest(f"failed to read policy file {name}: {reason}") from None
    return WantedFile(name, optional=True, text=data.decode(errors="replace"))


class _RawInput(io.RawIOBase):
    """Any binary file as a raw one, so that it can be peeked into."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # typeshed has no Buffer in 3.11
        read1 = getattr(self._file, "read1", self._file.read)
        data = read1(len(view))
        view[: len(data)] = data
        return len(data)


def _spelled(folder: str, name: str) -> str:
    """`dockerfile` where there is one and no `Dockerfile`."""
    if name != "Dockerfile":
        return name
    try:
        names = os.listdir(folder)
    except OSError:
        return name
    return "dockerfile" if "dockerfile" in names and name not in names else name
