"""The input of a test, as buildx reads one: known fields in their order, all else left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from croze.errors import CrozeError

Shape: TypeAlias = "type | Mapping[str, Shape] | list[Shape] | str"
"""`"{}"` is an object of any fields, `"input"` an input again."""

_ACTOR: Mapping[str, Shape] = {"name": str, "email": str, "when": str}
_SIGNED: Mapping[str, Shape] = {
    "pgpSignature": {"version": int, "keyID": str},
    "sshSignature": {"version": int, "pubKey": str},
}
_PROVENANCE: Mapping[str, Shape] = {
    **dict.fromkeys(("predicateType", "buildType", "builderID", "invocationID"), str),
    **dict.fromkeys(("startedOn", "finishedOn"), str),
    "configSource": {"uri": str, "digest": "{}", "path": str},
    "frontend": str,
    "buildArgs": "{}",
    "rawArgs": "{}",
    "reproducible": bool,
    "hermetic": bool,
    "completeness": dict.fromkeys(("parameters", "environment", "materials"), bool),
    "materials": ["input"],
}
_SIGNER = (
    *("certificateIssuer", "subjectAlternativeName", "issuer", "buildSignerURI"),
    *("buildSignerDigest", "runnerEnvironment", "sourceRepositoryURI", "sourceRepositoryDigest"),
    *("sourceRepositoryRef", "sourceRepositoryIdentifier", "sourceRepositoryOwnerURI"),
    *("sourceRepositoryOwnerIdentifier", "buildConfigURI", "buildConfigDigest", "buildTrigger"),
    *("runInvocationURI", "sourceRepositoryVisibilityAtSigning"),
)
_SIGNATURE: Mapping[str, Shape] = {
    "kind": str,
    "type": str,
    "timestamps": ["{}"],
    "dockerReference": str,
    "isDHI": bool,
    "signer": dict.fromkeys(_SIGNER, str),
}
_INPUT: Mapping[str, Shape] = {
    "env": {
        "args": "{}",
        "labels": "{}",
        "filename": str,
        "target": str,
        "capsRequest": bool,
        "depth": int,
    },
    "local": {"name": str},
    "image": {
        **dict.fromkeys(("ref", "host", "repo", "fullRepo", "tag", "platform", "os", "arch"), str),
        "variant": str,
        "isCanonical": bool,
        **dict.fromkeys(("checksum", "createdTime"), str),
        "env": [str],
        "labels": "{}",
        "user": str,
        "volumes": [str],
        "workingDir": str,
        "hasProvenance": bool,
        "provenance": _PROVENANCE,
        "signatures": [_SIGNATURE],
    },
    "http": {
        **dict.fromkeys(("url", "schema", "host", "path"), str),
        "query": "{}",
        "hasAuth": bool,
        "checksum": str,
    },
    "git": {
        **dict.fromkeys(("schema", "host", "remote", "fullURL", "tagName", "branch", "ref"), str),
        "subDir": str,
        "isCommitRef": bool,
        "isSHA256": bool,
        **dict.fromkeys(("checksum", "commitChecksum"), str),
        "isAnnotatedTag": bool,
        "tag": {
            **dict.fromkeys(("object", "type", "tag"), str),
            "tagger": _ACTOR,
            "message": str,
            **_SIGNED,
        },
        "commit": {
            "tree": str,
            "parents": [str],
            "author": _ACTOR,
            "committer": _ACTOR,
            "message": str,
            **_SIGNED,
        },
    },
}
_ALWAYS = frozenset({"certificateIssuer", "subjectAlternativeName"})
"""Members that are there, empty or not."""
_KEPT_EMPTY = frozenset(
    {"local", "image", "http", "git", "tag", "commit", "provenance", "configSource", "signer"}
    | {"completeness", "pgpSignature", "sshSignature", "reproducible", "hermetic"}
    | {"parameters", "environment"}
)
"""Pointers in Go: given is given, whatever it is."""


def shaped_input(plain: object) -> dict[str, object]:
    """A test's input with the fields that buildx knows, in their order. Raises `CrozeError` for a
    value of the wrong type."""
    shaped = _shaped(plain, _INPUT, "input")
    assert isinstance(shaped, dict)
    env = shaped.get("env")
    if isinstance(env, dict):
        shaped["env"] = {**env, "depth": env.get("depth", 0)}
        if shaped["env"] == {"depth": 0}:
            del shaped["env"]
    return shaped


def _shaped(plain: object, shape: Shape, where: str) -> object:
    if shape == "input":
        return shaped_input(plain)
    if shape == "{}":
        return _typed(plain, dict, where)
    if isinstance(shape, list):
        items = _typed(plain, list, where)
        assert isinstance(items, list)
        return [_shaped(item, shape[0], where) for item in items]
    if isinstance(shape, Mapping):
        fields = _typed(plain, dict, where)
        assert isinstance(fields, dict)
        return _fields(fields, shape, where)
    assert isinstance(shape, type)
    return _typed(plain, shape, where)


def _fields(
    plain: Mapping[str, object], shape: Mapping[str, Shape], where: str
) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, inner in shape.items():
        member = plain.get(name)
        if member is None:
            if name in _ALWAYS:
                fields[name] = ""
            continue
        value = _shaped(member, inner, f"{where}.{name}")
        keeps = name in _KEPT_EMPTY and (inner is bool or isinstance(inner, Mapping))
        if value or keeps or name in _ALWAYS:
            fields[name] = value
    return fields


def _typed(plain: object, kind: type, where: str) -> object:
    if not isinstance(plain, kind) or (isinstance(plain, bool) and kind is not bool):
        raise CrozeError(f"{where}: cannot use {type(plain).__name__} as {kind.__name__}")
    return plain
