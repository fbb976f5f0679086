"""What is asked of a builder for each target: plain values in the grammar of the build command's
flags."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from msgspec import Struct, field
from msgspec.structs import replace

from croze.bake.errors import BakeError
from croze.bake.options.entries import Attest, CacheEntry, OutputEntry, SecretEntry, SshEntry
from croze.bake.paths import is_git, is_remote
from croze.bake.select import Selection
from croze.bake.target import Target
from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.sizes import parse_bytes
from croze.image import platform as platforms
from croze.policy.options import PolicyOption

_CWD = "cwd://"


class BuildRequest(Struct, frozen=True):
    """One target, ready to be built. Texts are what the build command's flags take."""

    name: str
    context: str
    dockerfile: str
    dockerfile_inline: str | None
    contexts: Mapping[str, str]
    args: Mapping[str, str]
    labels: Mapping[str, str]
    tags: tuple[str, ...]
    target: str
    platforms: tuple[str, ...]
    secrets: tuple[SecretEntry, ...]
    ssh: tuple[SshEntry, ...]
    no_cache: bool
    no_cache_filter: tuple[str, ...]
    pull: bool
    outputs: tuple[OutputEntry, ...]
    cache_from: tuple[CacheEntry, ...]
    cache_to: tuple[CacheEntry, ...]
    hosts: tuple[str, ...]
    network: str
    shm_size_bytes: int
    ulimits: tuple[str, ...]
    resources: tuple[str, ...]
    entitlements: tuple[str, ...]
    attests: tuple[Attest, ...]
    annotations: tuple[str, ...]
    call: str
    policy: tuple[PolicyOption, ...]
    linked: bool = False
    context_of: str = ""
    """The directory in a remote definition's files that is the context; empty without one."""
    contexts_of: Mapping[str, str] = field(default_factory=dict)


def make_requests(selection: Selection, remote: str | None = None) -> dict[str, BuildRequest]:
    """The requests by name. `remote` is the URL of a definition that is not here.

    Targets' contexts become what they are for the builder, which is what is shown of them.
    """
    return {
        name: _make(name, selection.targets[name], remote) for name in sorted(selection.targets)
    }


class _Places(Struct, frozen=True):
    """What a target is built from, as the builder finds it."""

    context: str
    dockerfile: str
    contexts: Mapping[str, str]
    context_of: str
    contexts_of: Mapping[str, str]


def _check(target: Target) -> None:
    if target.context == "-":
        raise BakeError("context from stdin not allowed in bake")
    if target.dockerfile == "-":
        raise BakeError("dockerfile from stdin not allowed in bake")
    if any(not secret.id for secret in target.secret or ()):
        raise BakeError("secret missing ID")


def _places(target: Target, remote: str | None) -> _Places:
    context, dockerfile = _cleaned(target)
    contexts = dict(target.contexts or {})
    context_of, contexts_of = "", dict[str, str]()
    if remote is not None:
        context, context_of = _remote_context(context, remote)
        contexts, contexts_of = _remote_contexts(contexts, remote)
    if dockerfile.startswith(_CWD):
        dockerfile = os.path.abspath(_clean(dockerfile.removeprefix(_CWD)))
    elif remote is not None and context.startswith(_CWD):
        _refuse_dockerfile_here(context.removeprefix(_CWD), dockerfile)
    if context.startswith(_CWD):
        context = _clean(context.removeprefix(_CWD))
    here = not is_remote(context) and not context_of
    if here and not os.path.isabs(dockerfile):
        dockerfile = os.path.join(context, dockerfile)
    contexts = {
        key: _clean(value.removeprefix(_CWD)) if value.startswith(_CWD) else value
        for key, value in contexts.items()
    }
    return _Places(context, dockerfile, contexts, context_of, contexts_of)


def _make(name: str, target: Target, remote: str | None) -> BuildRequest:
    _check(target)
    places = _places(target, remote)
    target.context = places.context
    target.output = target.output and [_with_destination(each) for each in target.output]
    return BuildRequest(
        name=name,
        context=places.context,
        dockerfile=places.dockerfile,
        dockerfile_inline=target.dockerfile_inline or None,
        contexts=places.contexts,
        args=_known(target.args),
        labels=_known(target.labels),
        tags=tuple(target.tags or ()),
        target=target.target or "",
        no_cache=bool(target.no_cache),
        no_cache_filter=tuple(target.no_cache_filter or ()),
        pull=bool(target.pull),
        shm_size_bytes=_shm_size(target),
        platforms=_platforms(target),
        secrets=tuple(target.secret or ()),
        ssh=tuple(target.ssh or ()),
        outputs=tuple(target.output or ()),
        cache_from=tuple(target.cache_from or ()),
        cache_to=tuple(target.cache_to or ()),
        hosts=tuple(f"{host}={ip}" for host, ip in sorted(_known(target.extra_hosts).items())),
        network=target.network or "",
        ulimits=tuple(target.ulimits or ()),
        resources=tuple(target.resources.flags()) if target.resources else (),
        entitlements=tuple(target.entitlements or ()),
        attests=tuple(target.attest or ()),
        annotations=tuple(target.annotations or ()),
        call=target.call or "",
        policy=tuple(target.policy or ()),
        linked=target.linked,
        context_of=places.context_of,
        contexts_of=places.contexts_of,
    )


def _refuse_dockerfile_here(context: str, dockerfile: str) -> None:
    """A file of that name here is not the definition's, which it could be taken for."""
    if not is_remote(dockerfile) and os.path.exists(os.path.join(_clean(context), dockerfile)):
        raise BakeError(
            "reading a dockerfile for a remote build invocation is currently not supported"
        )


def _with_destination(output: OutputEntry) -> OutputEntry:
    """A file that has no name goes to standard output; an image for Docker does not."""
    is_file = output.type == "tar" or (output.type == "oci" and output.attrs.get("tar") != "false")
    return replace(output, dest="-") if is_file and not output.dest else output


def _clean(path: str) -> str:
    """A path in its shortest form, as Go's path.Clean has it."""
    cleaned = posixpath.normpath(path or ".")
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _cleaned(target: Target) -> tuple[str, str]:
    context = "." if target.context is None else target.context
    if not context.startswith(_CWD) and not is_remote(context):
        context = _clean(context)
    dockerfile = target.dockerfile or "Dockerfile"
    return context, dockerfile if dockerfile.startswith(_CWD) else _clean(dockerfile)


def _remote_context(context: str, remote: str) -> tuple[str, str]:
    """The context of a target whose definition is remote, and the directory there that it is, if a
    builder would not find that by itself."""
    if context == ".":
        return remote, "" if is_git(remote) else "."
    if context.startswith(_CWD) or is_remote(context):
        return context, ""
    return with_subdirectory(remote, context), context


def _remote_contexts(
    contexts: Mapping[str, str], remote: str
) -> tuple[dict[str, str], dict[str, str]]:
    origins: dict[str, str] = {}
    inside: dict[str, str] = {}
    for key, value in contexts.items():
        if value.startswith(("target:", "docker-image:")):
            origins[key] = value
            continue
        origins[key], directory = _remote_context(value, remote)
        if directory:
            inside[key] = directory
    return origins, inside


def with_subdirectory(url: str, directory: str) -> str:
    """The address of a directory in a git repository, or of one in an archive for users to read."""
    base, hash_sign, fragment = url.partition("#")
    ref, _, outer = fragment.partition(":")
    words, mark, query = base.partition("?")
    values = dict(parse_qsl(query, keep_blank_values=True))
    path = _clean(posixpath.join(outer or values.get("subdir", ""), directory))
    if path == ".":
        return url
    if not hash_sign and "subdir" in values:
        return f"{words}{mark}{urlencode(sorted((values | {'subdir': path}).items()))}"
    return f"{base}#{ref}:{path}"


def _known(texts: Mapping[str, str | None] | None) -> dict[str, str]:
    return {key: text for key, text in (texts or {}).items() if text is not None}


def _shm_size(target: Target) -> int:
    if target.shm_size is None:
        return 0
    try:
        return parse_bytes(target.shm_size)
    except InvalidRequest:
        raise BakeError(f"invalid value {target.shm_size} for membytes key shm-size") from None


def _platforms(target: Target) -> tuple[str, ...]:
    """The platforms as they were written; BakeError if one of them is no platform."""
    for text in target.platforms or ():
        for part in text.split(","):
            if part and part.strip() != "local":
                try:
                    platforms.parse(part)
                except InvalidRequest as error:
                    raise BakeError(f"{error}") from None
    return tuple(target.platforms or ())


def cache_flag(entry: CacheEntry) -> str:
    return csv_line.join({"type": entry.type, **dict(sorted(entry.attrs.items()))}.items())


def attest_flag(entry: Attest) -> str:
    disabled = {"disabled": "true"} if entry.disabled else {}
    attrs = sorted(entry.attrs.items())
    return csv_line.join({"type": entry.type, **disabled, **dict(attrs)}.items())


def secret_flag(secret: SecretEntry) -> str:
    attrs = {"id": secret.id, "src": secret.src, "env": secret.env}
    return csv_line.join({key: text for key, text in attrs.items() if text}.items())


def ssh_flag(ssh: SshEntry) -> str:
    return f"{ssh.id}={','.join(ssh.paths)}" if ssh.paths else ssh.id or "default"
