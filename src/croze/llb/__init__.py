"""Ops and definitions: build, marshal, load, digest. `croze.llb` is also the public Python DSL.

    from croze import llb

    base = llb.image("alpine")
    built = base.run("apk add --no-cache gcc musl-dev").root.file(
        llb.copy(llb.local("context"), "hello.c", "/src/")
    )
    linked = built.run("gcc -o /hello /src/hello.c").root
    result = llb.scratch().file(llb.copy(linked, "/hello", "/"))
    definition = result.marshal()

Modules: `state` (states and what they carry), `source` and `gitsource`, `execop` and `mounts`,
`fileop` and `filevertex`, `compose` (merge, diff, build), `options` (what every op can be told),
`graph` (vertices, edges, marshalling), `definition` (reading definitions back), `sourcemap`,
`caps`. `docs/llb.md` has more.
"""

from croze.digests import digest_of
from croze.llb.compose import build, diff, merge, requires
from croze.llb.definition import (
    LoadedDefinition,
    definition_to_state,
    head,
    load,
    source_ops,
)
from croze.llb.env import Env
from croze.llb.execop import Device, ProxyEnv
from croze.llb.fileop import (
    CopyOptions,
    FileAction,
    Owner,
    copy,
    mkdir,
    mkfile,
    owner,
    rm,
    symlink,
)
from croze.llb.gitsource import git
from croze.llb.graph import Defaults, Deferred, Edge, Output
from croze.llb.marshal import definition_of, marshal_op, op_blobs
from croze.llb.mounts import Mount, Secret, SshSocket, bind, cache, secret, ssh, tmpfs
from croze.llb.options import LinuxResources, OpOptions
from croze.llb.source import (
    http,
    image,
    image_blob,
    local,
    oci_layout,
    oci_layout_blob,
    source,
)
from croze.llb.sourcemap import SourceLocation, SourceMap
from croze.llb.state import Exec, State, scratch
from croze.status import ProgressGroup

__all__ = [
    "CopyOptions",
    "Defaults",
    "Deferred",
    "Device",
    "Edge",
    "Env",
    "Exec",
    "FileAction",
    "LinuxResources",
    "LoadedDefinition",
    "Mount",
    "OpOptions",
    "Output",
    "Owner",
    "ProgressGroup",
    "ProxyEnv",
    "Secret",
    "SourceLocation",
    "SourceMap",
    "SshSocket",
    "State",
    "bind",
    "build",
    "cache",
    "copy",
    "definition_of",
    "definition_to_state",
    "diff",
    "digest_of",
    "git",
    "head",
    "http",
    "image",
    "image_blob",
    "load",
    "local",
    "marshal_op",
    "merge",
    "mkdir",
    "mkfile",
    "oci_layout",
    "oci_layout_blob",
    "op_blobs",
    "owner",
    "requires",
    "rm",
    "scratch",
    "secret",
    "source",
    "source_ops",
    "ssh",
    "symlink",
    "tmpfs",
]
