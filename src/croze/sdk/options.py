"""The options of a build as a Python program gives them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO, TypedDict

from croze.client.plan import SecretFrom
from croze.client.planning.options import BuildOptions
from croze.errors import InvalidRequest

StrPath = str | os.PathLike[str]
Context = StrPath | BinaryIO
Secret = bytes | StrPath


class BuildArguments(TypedDict, total=False):
    """All are optional; each is the flag of `croze build` with its name, as Python has it."""

    dockerfile: StrPath
    """Its path; `Dockerfile` in the context by default."""
    dockerfile_text: str
    """The Dockerfile itself, in place of a file."""
    tags: Sequence[str]
    target: str
    """The stage to build; the last by default."""
    args: Mapping[str, str]
    """Build arguments."""
    contexts: Mapping[str, StrPath]
    """More contexts, by name: paths, URLs, `docker-image://…`, `oci-layout://…`."""
    platforms: Sequence[str]
    labels: Mapping[str, str]
    annotations: Sequence[str]
    """`[level[platform]:]key=value`."""
    secrets: Mapping[str, Secret]
    """By id: the value as `bytes`, or the path of a file that has it."""
    ssh: Sequence[str]
    """`default`, or `id=path[,path]`."""
    no_cache: bool
    no_cache_filter: Sequence[str]
    pull: bool
    outputs: Sequence[str]
    """Such as `type=local,dest=out`."""
    push: bool
    load: bool
    cache_from: Sequence[str]
    cache_to: Sequence[str]
    hosts: Mapping[str, str]
    """Addresses by name, for `/etc/hosts`."""
    network: str
    shm_size_bytes: int
    ulimits: Sequence[str]
    cgroup_parent: str
    allow: Sequence[str]
    """Entitlements, such as `network.host`."""
    attests: Sequence[str]
    provenance: bool | str
    """`True`, `False`, or its parameters (`mode=max`)."""
    sbom: bool | str
    metadata_file: StrPath
    iidfile: StrPath


def build_options(context: Context, arguments: BuildArguments) -> BuildOptions:
    """The client's options for what a program asks. Raises `InvalidRequest`, for an option that
    there is not, too: callers without a type checker make typing errors."""
    _refuse_unknown(arguments)
    path, stdin = _source(context)
    secrets = arguments.get("secrets", {})
    hosts = _texts(arguments.get("hosts", {}), "hosts")
    contexts = arguments.get("contexts", {})
    return BuildOptions(
        context=path,
        stdin=stdin,
        dockerfile=os.fspath(arguments.get("dockerfile", "")),
        dockerfile_inline=arguments.get("dockerfile_text"),
        tags=_list(arguments.get("tags", ()), "tags"),
        target=arguments.get("target", ""),
        build_args=_texts(arguments.get("args", {}), "args"),
        build_contexts={name: os.fspath(path) for name, path in contexts.items()},
        platforms=_list(arguments.get("platforms", ()), "platforms"),
        labels=_texts(arguments.get("labels", {}), "labels"),
        annotations=_list(arguments.get("annotations", ()), "annotations"),
        secrets=[_secret(id, value) for id, value in secrets.items()],
        ssh=_list(arguments.get("ssh", ()), "ssh"),
        no_cache=arguments.get("no_cache", False),
        no_cache_filter=_list(arguments.get("no_cache_filter", ()), "no_cache_filter"),
        pull=arguments.get("pull", False),
        outputs=_list(arguments.get("outputs", ()), "outputs"),
        push=arguments.get("push", False),
        load=arguments.get("load", False),
        cache_from=_list(arguments.get("cache_from", ()), "cache_from"),
        cache_to=_list(arguments.get("cache_to", ()), "cache_to"),
        add_hosts=[f"{name}={address}" for name, address in hosts.items()],
        network=arguments.get("network", ""),
        shm_size=arguments.get("shm_size_bytes", 0),
        ulimits=_list(arguments.get("ulimits", ()), "ulimits"),
        cgroup_parent=arguments.get("cgroup_parent", ""),
        allow=_list(arguments.get("allow", ()), "allow"),
        attests=_list(arguments.get("attests", ()), "attests"),
        provenance=_flag(arguments.get("provenance", "")),
        sbom=_flag(arguments.get("sbom", "")),
        metadata_file=os.fspath(arguments.get("metadata_file", "")),
        iidfile=os.fspath(arguments.get("iidfile", "")),
    )


def _refuse_unknown(arguments: BuildArguments) -> None:
    unknown = sorted(set(arguments) - BuildArguments.__annotations__.keys())
    if unknown:
        raise InvalidRequest(f"unknown build option: {', '.join(unknown)}")


def _source(context: Context) -> tuple[str, BinaryIO | None]:
    """A path, or `-` for what is read from a file."""
    if isinstance(context, str | os.PathLike):
        return os.fspath(context), None
    return "-", context


def _list(value: Sequence[str], name: str) -> Sequence[str]:
    """A text is a sequence of texts to Python, and never what was meant."""
    if isinstance(value, str):
        raise InvalidRequest(f"{name} must be a list of strings, such as [{value!r}]")
    items = list(value)
    for each in items:
        if not isinstance(each, str):
            raise InvalidRequest(f"{name} must be a list of strings, and {each!r} is none")
    return items


def _texts(value: Mapping[str, str], name: str) -> Mapping[str, str]:
    pairs = dict(value)
    for key, each in pairs.items():
        if not (isinstance(key, str) and isinstance(each, str)):
            raise InvalidRequest(
                f"{name} must be a mapping of strings, and {key!r}: {each!r} is none"
            )
    return pairs


def _flag(value: bool | str) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _secret(id: str, value: Secret) -> SecretFrom:
    if isinstance(value, bytes):
        return SecretFrom(id, value=value)
    return SecretFrom(id, path=os.fspath(value))
