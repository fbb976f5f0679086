"""The world as the corpus's README describes it: made-up images, files and times."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from croze import llb
from croze.api import ops_pb2
from croze.dockerfile.resolver import ImageQuestion, ResolvedImage, SourceMeta
from croze.errors import NotFound
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.status import VertexWarning

CREATED = "2020-01-02T03:04:05Z"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SECOND_NS = 10**9


@dataclass
class StubResolver:
    """One case's world. `files` maps a local source's name to its files' texts."""

    dockerfile: bytes
    dockerfile_source: str
    dockerfile_name: str
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    input_texts: Mapping[str, str] = field(default_factory=dict)
    workers: Sequence[str] = ("linux/amd64",)
    disabled_caps: frozenset[str] = frozenset()

    @property
    def session(self) -> str:
        return "golden-client"

    def worker_platforms(self) -> Sequence[Platform]:
        return [platforms.normalize(platforms.parse(text)) for text in self.workers]

    def has_cap(self, id: str) -> bool:
        return id not in self.disabled_caps

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        ref = question.ref
        if "does-not-exist" in ref:
            raise NotFound(f"{ref}: not found")
        special = _repository_name(ref)
        digest = ref.partition("@")[2] or sha256(ref)
        returned = ref
        if special == "redirect-base":
            returned = "registry.example.com/mirror/redirected:1.0"
        if special == "nodigest-base":
            digest = ""
        config = image_config(ref, special, question.platform or platforms.parse("linux/amd64"))
        return ResolvedImage(returned, digest, config)

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        scheme = source.identifier.partition("://")[0]
        if scheme == "git":
            return SourceMeta(committer_time=1600000123)
        if scheme in ("http", "https"):
            return SourceMeta(last_modified=1650000000)
        return SourceMeta()

    async def read_file(
        self, definition: ops_pb2.Definition, path: str, *, limit_bytes: int | None = None
    ) -> bytes:
        files = self._files(definition)
        name = path.lstrip("/")
        if "*" in files and not name.endswith(".dockerignore"):
            return files["*"][:limit_bytes]
        if name not in files:
            raise NotFound(f"open {path}: no such file or directory")
        return files[name][:limit_bytes]

    async def list_dir(self, definition: ops_pb2.Definition, path: str) -> Sequence[str]:
        return sorted(self._files(definition))

    def _files(self, definition: ops_pb2.Definition) -> dict[str, bytes]:
        """The files of a definition's source; `*` stands for any name."""
        for identifier in _identifiers(definition):
            scheme, _, rest = identifier.partition("://")
            if scheme in ("git", "http", "https"):
                return {"*": self.dockerfile}
            if scheme == "local":
                files = {k: v.encode() for k, v in self.files.get(rest, {}).items()}
                if rest == self.dockerfile_source:
                    files[self.dockerfile_name] = self.dockerfile
                return files
        texts = list(self.input_texts.values())
        return {"input.txt": texts[0].encode()} if texts else {}

    async def inputs(self) -> Mapping[str, ops_pb2.Definition]:
        return {
            name: llb.scratch().file(llb.mkfile("/input.txt", text, 0o644)).marshal()
            for name, text in self.input_texts.items()
        }

    async def warn(self, warnings: Sequence[VertexWarning]) -> None:
        """Warnings are taken from the converter."""


def sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _identifiers(definition: ops_pb2.Definition) -> list[str]:
    blobs: Sequence[bytes] = getattr(definition, "def")
    ops = [ops_pb2.Op.FromString(blob) for blob in blobs]
    return [op.source.identifier for op in ops if op.WhichOneof("op") == "source"]


def _repository_name(ref: str) -> str:
    return ref.partition("@")[0].rpartition("/")[2].partition(":")[0]


def image_config(ref: str, special: str, platform: Platform) -> bytes:
    """The config that the stub gives for a reference."""
    if special == "badjson-base":
        return b"{not json"
    if special == "arm-only-base":
        platform = Platform(architecture="arm64", os="linux", variant="v8")
    if special == "windows-base":
        platform = Platform(architecture="amd64", os="windows")
    config: dict[str, Any] = {
        "created": CREATED,
        "author": "stub",
        "os": platform.os,
        "architecture": platform.architecture,
        "rootfs": {"type": "layers", "diff_ids": [sha256(f"layer of {ref}")]},
        "history": [{"created": CREATED, "created_by": "stub base layer"}],
        "config": {"Env": [_PATH], "Cmd": ["sh"]},
    }
    if platform.variant:
        config["variant"] = platform.variant
    if platform.os == "windows":
        config["config"] = {"Cmd": ["cmd.exe"]}
        config["os.version"] = "10.0.20348.2000"
    _apply_special(config, special)
    return json.dumps(config).encode()


def _apply_special(config: dict[str, Any], special: str) -> None:
    settings: dict[str, Any] = config["config"]
    settings.update(_SPECIAL_SETTINGS.get(special, {}))
    if special in ("empty-base", "schema1-base"):
        config["rootfs"]["diff_ids"] = None
    if special == "empty-base":
        config["history"] = [{"created_by": "stub empty layer", "empty_layer": True}]


_SPECIAL_SETTINGS: dict[str, dict[str, Any]] = {
    "onbuild-base": {
        "OnBuild": ["RUN echo trigger", "COPY . /onbuild", "ENV FROM_ONBUILD=yes"],
    },
    "onbuild-copy-base": {
        "OnBuild": [
            "COPY --from=alpine:3.20 /etc/os-release /os-release",
            "RUN --mount=type=bind,from=busybox,target=/bb true",
        ]
    },
    "onbuild-bad-base": {"OnBuild": ["FROBNICATE now"]},
    "user-base": {
        "User": "app:grp",
        "WorkingDir": "/srv/app",
        "Env": ["PATH=/opt/bin:/usr/bin:/bin", "LANG=C.UTF-8", "EMPTY=", "APP_HOME=/srv/app"],
        "Labels": {"base.label": "one", "org.example.vendor": "stub"},
        "Shell": ["/bin/bash", "-eo", "pipefail", "-c"],
        "Entrypoint": ["/entry.sh"],
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 5 * _SECOND_NS, "Retries": 2},
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGQUIT",
    },
    "nopath-base": {"Env": ["HELLO=world"]},
    "relative-workdir-base": {"WorkingDir": "relative/dir"},
}
