"""Source ops: filesystems that come from elsewhere. Attribute names are BuildKit's `solver/pb`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Unpack

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image import reference
from croze.llb import caps
from croze.llb.graph import Edge, MarshalledOp, Marshaller, OpVertex
from croze.llb.options import Constraints, OpOptions, constraints_of
from croze.llb.state import State

ResolveMode = Literal["default", "pull", "local"]
_PLATFORM_SPECIFIC = ("docker-image://", "oci-layout://")


class SourceVertex(OpVertex):
    """A source op. `identifier` is `scheme://rest`."""

    def __init__(self, identifier: str, attrs: Mapping[str, str], constraints: Constraints) -> None:
        if not identifier:
            raise InvalidRequest("source identifier can't be empty")
        self.identifier = identifier
        self.attrs = dict(attrs)
        self._constraints = constraints

    def inputs(self) -> Sequence[Edge]:
        return ()

    def marshal(self, marshaller: Marshaller) -> MarshalledOp:
        attrs, constraints = self.attrs, self._constraints
        if self.identifier.startswith("local://") and "local.session" not in attrs:
            attrs = {**attrs, "local.unique": marshaller.defaults.unique_id}
            constraints = constraints.with_caps(caps.SOURCE_LOCAL_UNIQUE)
        body = ops_pb2.Op()
        body.source.identifier = self.identifier
        body.source.attrs.update(attrs)
        specific = self.identifier.startswith(_PLATFORM_SPECIFIC)
        return marshaller.seal(body, constraints, has_platform=specific)


def source(
    identifier: str, attrs: Mapping[str, str], *needed_caps: str, **options: Unpack[OpOptions]
) -> State:
    """Any source, by its identifier and attributes."""
    vertex = SourceVertex(identifier, attrs, constraints_of(options, *needed_caps))
    return State().with_output(Edge(vertex), options.get("platform"))


def image(
    ref: str,
    *,
    resolve_mode: ResolveMode = "default",
    layer_limit: int | None = None,
    checksum: str = "",
    internal: bool = False,
    **options: Unpack[OpOptions],
) -> State:
    """An image from a registry. Its config (environment, directory) is not looked at: see
    `State.with_image_config`. `internal` keeps it out of `du`."""
    ref = str(reference.parse(ref).tagged())
    attrs: dict[str, str] = {}
    needed = [caps.SOURCE_IMAGE]
    if resolve_mode != "default":
        attrs["image.resolvemode"] = resolve_mode
        if resolve_mode == "pull":
            needed.append(caps.SOURCE_IMAGE_RESOLVE_MODE)
    if internal:
        attrs["image.recordtype"] = "internal"
    if layer_limit is not None:
        attrs["image.layerlimit"] = str(layer_limit)
        needed.append(caps.SOURCE_IMAGE_LAYER_LIMIT)
    if checksum:
        attrs["image.checksum"] = checksum
        needed.append(caps.SOURCE_IMAGE_CHECKSUM)
    return source(f"docker-image://{ref}", attrs, *needed, **options)


def oci_layout(
    ref: str,
    *,
    session: str = "",
    store: str = "",
    layer_limit: int | None = None,
    **options: Unpack[OpOptions],
) -> State:
    """An image in an OCI layout that a client lends as content store `store`."""
    attrs = _given(
        {
            "oci.session": session,
            "oci.store": store,
            "oci.layerlimit": "" if layer_limit is None else str(layer_limit),
        }
    )
    return source(f"oci-layout://{ref}", attrs, caps.SOURCE_OCI_LAYOUT, **options)


def image_blob(
    ref: str,
    *,
    filename: str = "",
    mode: int = 0,
    uid: int = 0,
    gid: int = 0,
    **options: Unpack[OpOptions],
) -> State:
    """One blob of a registry's repository, `name@digest`, as a file."""
    attrs = _file_attrs(filename, mode, uid, gid)
    identifier = f"docker-image+blob://{_blob_reference(ref)}"
    return source(identifier, attrs, caps.SOURCE_IMAGE_BLOB, **options)


def oci_layout_blob(
    ref: str,
    *,
    session: str = "",
    store: str = "",
    filename: str = "",
    mode: int = 0,
    uid: int = 0,
    gid: int = 0,
    **options: Unpack[OpOptions],
) -> State:
    """One blob of a client's content store, `name@digest`, as a file."""
    attrs = _file_attrs(filename, mode, uid, gid)
    attrs |= _given({"oci.session": session, "oci.store": store})
    identifier = f"oci-layout+blob://{_blob_reference(ref)}"
    return source(identifier, attrs, caps.SOURCE_IMAGE_BLOB, **options)


def local(
    name: str,
    /,
    *,
    session: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_paths: Sequence[str] = (),
    shared_key: str = "",
    differ: Literal["", "none", "metadata"] = "",
    require_differ: bool = False,
    metadata_only: bool = False,
    metadata_only_except: Sequence[str] = (),
    **options: Unpack[OpOptions],
) -> State:
    """A directory that the client knows as `name`.

    `include` and `exclude` are patterns; `follow_paths` are paths whose symlinks are followed.
    `shared_key` lets builds of the same directory reuse what was sent. `differ` "none" sends all
    files again.
    """
    lists = {
        "local.includepattern": (include, caps.SOURCE_LOCAL_INCLUDE),
        "local.followpaths": (follow_paths, caps.SOURCE_LOCAL_FOLLOW),
        "local.excludepatterns": (exclude, caps.SOURCE_LOCAL_EXCLUDE),
    }
    texts = {
        "local.session": (session, caps.SOURCE_LOCAL_SESSION),
        "local.sharedkeyhint": (shared_key, caps.SOURCE_LOCAL_SHARED_KEY),
    }
    attrs = {key: _json(paths) for key, (paths, _) in lists.items() if paths}
    attrs |= {key: text for key, (text, _) in texts.items() if text}
    needed = [caps.SOURCE_LOCAL]
    needed += [cap for key, (_, cap) in (*lists.items(), *texts.items()) if key in attrs]
    if differ:
        attrs["local.differ"] = differ
        if require_differ:
            needed.append(caps.SOURCE_LOCAL_DIFFER)
    if metadata_only:
        attrs["local.metadatatransfer"] = "true"
        needed.append(caps.SOURCE_LOCAL_METADATA)
        if metadata_only_except:
            attrs["local.metadatatransferexclude"] = _json(metadata_only_except)
    return source(f"local://{name}", attrs, *needed, **options)


def http(
    url: str,
    *,
    checksum: str = "",
    filename: str = "",
    mode: int = 0,
    uid: int = 0,
    gid: int = 0,
    auth_header_secret: str = "",
    accept: str = "",
    user_agent: str = "",
    pgp_key: str = "",
    pgp_signature: str = "",
    **options: Unpack[OpOptions],
) -> State:
    """A file from the web. `auth_header_secret` names a secret with the Authorization header.

    The file must be signed by `pgp_key` with the detached `pgp_signature`, both armoured, if they
    are given."""
    attrs = _file_attrs(filename, mode, uid, gid)
    attrs |= _given(
        {
            "http.checksum": checksum,
            "http.authheadersecret": auth_header_secret,
            "http.header.accept": accept,
            "http.header.user-agent": user_agent,
            "http.sig.pubkey": pgp_key,
            "http.sig.signature": pgp_signature,
        }
    )
    needed = {
        caps.SOURCE_HTTP: True,
        caps.SOURCE_HTTP_CHECKSUM: bool(checksum),
        caps.SOURCE_HTTP_PERM: bool(mode),
        caps.SOURCE_HTTP_UID_GID: bool(uid or gid),
        caps.SOURCE_HTTP_AUTH: bool(auth_header_secret),
        caps.SOURCE_HTTP_HEADER: bool(accept or user_agent),
        caps.SOURCE_HTTP_SIGNATURE: bool(pgp_key or pgp_signature),
    }
    return source(url, attrs, *(cap for cap, holds in needed.items() if holds), **options)


def _file_attrs(filename: str, mode: int, uid: int, gid: int) -> dict[str, str]:
    return _given(
        {
            "http.filename": filename,
            "http.perm": f"0{mode & 0o777:o}" if mode else "",
            "http.uid": str(uid) if uid else "",
            "http.gid": str(gid) if gid else "",
        }
    )


def _blob_reference(ref: str) -> str:
    parsed = reference.parse(ref)
    if parsed.tag:
        raise InvalidRequest("tagged image reference not allowed for blob reference")
    if not parsed.digest:
        raise InvalidRequest("checksum required in blob reference")
    return str(parsed)


def _given(attrs: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in attrs.items() if value}


def _json(values: Sequence[str]) -> str:
    return gojson.marshal(list(values)).decode()
