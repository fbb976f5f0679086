"""What others have written is read, or refused with an error of ours: never anything else, whatever
bytes there are, within bounds of time, and the same each time. What we write of it is read as that.

Every parser of what comes from registries, clients, caches, images and containers is in the table.
Seeded and bounded for CI; `CROZE_FUZZ=50` tries fifty times as much, with new seeds.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from croze.dockerfile.image_json import parse_config
from croze.fs.bundle import format as bundles
from croze.fs.tar.apply import diff_id_of
from croze.fs.tar.estargz import TOC_NAME, footer, is_estargz
from croze.image import config, manifest
from croze.remotecache import annotated
from croze.remotecache import config as caches
from croze.remotecache.mounts import listing
from croze.runtime.complaint import Complaint
from croze.runtime.contract import Stdio
from croze.sbom.scan import scan
from croze.signatures import armor, gitobject, keyring, packets, pgp, sshsig
from croze.sigstore import bundle, cosign, keys, trust
from tests.support.settled import Refusal, settled

FACTOR = int(os.environ.get("CROZE_FUZZ", "1"))
ROUNDS = 120 * FACTOR
SLOWEST_S = 5.0
DIGEST = "sha256:" + "a" * 64
ODD = (
    *(b'"', b"[", b"{", b"null", b"true", b"-1", b"1e999", b"9" * 30, b"\\ud800", b"\xff", b"\0"),
    *(b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"[" * 3000, b'{"a":' * 3000),
)


def bad(chance: random.Random, good: bytes) -> bytes:
    """A little of it is not as it was."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 5, 20))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = chance.randbytes(1)
            case 1:
                del data[at : at + chance.randrange(1, 20)]
            case 2:
                other = chance.randrange(len(data) + 1)
                data[at:at] = data[other : other + chance.randrange(1, 40)]
            case 3:
                data[at:at] = chance.choice(ODD)
            case 4:
                data[at : at + 4] = chance.choice(ODD)[:4]
            case _:
                del data[at:]
    return bytes(data)


def told(value: object) -> bytes:
    return json.dumps(value).encode()


def described(kind: str, **more: object) -> dict[str, object]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": DIGEST, "size": 3, **more}


MANIFEST = told(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json"),
        "layers": [described("layer.v1.tar+gzip", annotations={"a": "b"})],
    }
)
INDEX = told(
    {
        "schemaVersion": 2,
        "manifests": [
            described("manifest.v1+json", platform={"os": "linux", "architecture": "amd64"})
        ],
    }
)
CONFIG = told(
    {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {
            "Env": ["A=b"],
            "Labels": {"a": "b"},
            "ExposedPorts": {"80/tcp": {}},
            "Healthcheck": {"Test": ["NONE"], "Interval": 5},
        },
        "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
        "history": [{"created": "2020-01-01T00:00:00Z", "empty_layer": True}],
    }
)
CACHE = told(
    {
        "layers": [{"blob": DIGEST, "parent": -1, "annotations": {"diffID": DIGEST, "size": 3}}],
        "records": [
            {"digest": DIGEST, "layers": [{"layer": 0, "createdAt": "2020-01-01T00:00:00Z"}]},
            {"digest": DIGEST, "inputs": [[{"selector": "x", "link": 0}]]},
        ],
    }
)
LISTING = told(
    {
        "mounts": [{"id": "/a", "index": {"digest": DIGEST, "size": 1}, "size": 1, "files": 1}],
        "version": 1,
    }
)
NODES = (
    bundles.BundleNode(b"", 0o40755, 0, 0, 0),
    bundles.BundleNode(b"a", 0o100644, 0, 0, 5, b"", 3, (0,), {"user.a": b"b"}),
    bundles.BundleNode(b"l", 0o120777, 0, 0, 0, b"x"),
)
TREE = bundles.BundleIndex(NODES, (bundles.Pack(DIGEST, 5, (bundles.Chunk(b"a" * 32, 3),)),))
ARMOR = b"-----BEGIN %b-----\n\niQEzBAABCAAdFiEE\n=abcd\n-----END %b-----\n"
PGP = ARMOR.replace(b"%b", b"PGP SIGNATURE")
COMMIT = b"tree %b\nparent %b\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\ngpgsig " % (
    b"a" * 40,
    b"b" * 40,
)
COMMIT += PGP.replace(b"\n", b"\n ") + b"\n\nmessage\n"
BUNDLE = told(
    {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": "MII="},
            "tlogEntries": [{"logIndex": "1", "logId": {"keyId": "YQ=="}, "integratedTime": "1"}],
        },
        "dsseEnvelope": {"payload": "e30=", "payloadType": "x", "signatures": [{"sig": "YQ=="}]},
    }
)
PEM = ARMOR.replace(b"%b", b"PUBLIC KEY").replace(b"iQEzBAABCAAdFiEE\n=abcd", b"MFkwEwYHKoZIzj0C")


def tar_of(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return gzip.compress(out.getvalue(), mtime=0)


def estargz() -> bytes:
    first, table = tar_of("a", b"abc"), tar_of(TOC_NAME, b'{"version":1,"entries":[]}')
    return first + table + footer(len(first))


def packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


def complained(data: bytes) -> None:
    """What a step writes to its standard error, before anything else."""
    heard = Complaint().overhear(Stdio(stdout=print, stderr=lambda _: None))
    heard.stderr(b'{"msg":"exec container process ' + data)


PARSERS: Mapping[str, tuple[Callable[[bytes], object], Sequence[bytes]]] = {
    "manifest": (manifest.parse_manifest, [MANIFEST]),
    "index": (manifest.parse_index, [INDEX]),
    "media type": (manifest.detect_media_type, [MANIFEST, INDEX]),
    "config": (config.parse, [CONFIG]),
    "config of a base": (parse_config, [CONFIG]),
    "cache": (caches.parse, [CACHE]),
    "cache as a manifest": (annotated.parse, [MANIFEST]),
    "listing of mounts": (listing.decode, [LISTING]),
    "index of a mount": (
        lambda data: bundles.decode(packed(data), 1 << 30),
        [msgspec.msgpack.encode(TREE)],
    ),
    "packed index of a mount": (
        lambda data: bundles.decode(data, 1 << 30),
        [bundles.encode(TREE)],
    ),
    "packets": (lambda data: list(packets.packets(data)), [b"\x99\x01\x0d\x04" + b"x" * 269]),
    "armor": (lambda data: list(armor.blocks(data)), [PGP]),
    "OpenPGP signature": (pgp.parse, [PGP]),
    "OpenPGP keys": (keyring.read_keys, [ARMOR.replace(b"%b", b"PGP PUBLIC KEY BLOCK")]),
    "SSH signature": (sshsig.parse, [ARMOR.replace(b"%b", b"SSH SIGNATURE")]),
    "commit": (gitobject.parse, [COMMIT]),
    "sigstore bundle": (bundle.parse, [BUNDLE]),
    "trusted root": (trust.parse, [b'{"mediaType":"x","tlogs":[],"certificateAuthorities":[]}']),
    "cosign payload": (cosign.payload, [b'{"critical":{"image":{"docker-manifest-digest":"x"}}}']),
    "public key": (keys.of_pem, [PEM]),
    "complaint": (complained, [b'(x) `/bin/sh`: Exec format error"}\n']),
}


WRITTEN: Mapping[str, Callable[[Any], bytes]] = {
    "manifest": manifest.marshal,
    "index": manifest.marshal,
    "config": config.marshal,
    "cache": caches.marshal,
    "listing of mounts": lambda found: listing.encode(found.mounts),
    "packed index of a mount": bundles.encode,
}
"""How we write what these parsers give."""


def tried(name: str, parse: Callable[[bytes], object], good: Sequence[bytes]) -> None:
    seed = f"{name} {time.time_ns() if FACTOR > 1 else 0}"
    chance = random.Random(seed)
    for number in range(ROUNDS):
        data = bad(chance, chance.choice(good))
        where = f"{seed}, {number}: {data[:2000]!r}"
        started = time.process_time()
        try:
            found = settled(lambda: parse(data))  # noqa: B023 - at once
            if name in WRITTEN and not isinstance(found, Refusal):
                assert parse(WRITTEN[name](found)) == found
        except Exception as error:
            raise AssertionError(f"{error!r} at {where}") from error
        assert time.process_time() - started < SLOWEST_S, where


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_anything_is_read_or_refused(name: str) -> None:
    tried(name, *PARSERS[name])


@dataclass(frozen=True)
class File:
    """Where a parser reads, and what is beside it."""

    root: Path
    name: str

    def written(self, data: bytes) -> Path:
        path = self.root / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
        return path


LAYERS = [estargz(), packed(gzip.decompress(tar_of("a", b"abc")))]


@pytest.mark.parametrize("read", [is_estargz, lambda path: diff_id_of(path, "a layer")])
def test_any_layer_is_read_or_refused(read: Callable[[str], object], tmp_path: Path) -> None:
    file = File(tmp_path, "layer")
    tried("layer", lambda data: read(str(file.written(data))), LAYERS)


SOFTWARE = {
    "var/lib/dpkg/status": b"Package: a\nStatus: install ok installed\nVersion: 1:2-3\n"
    b"Architecture: amd64\nSource: b (1)\nMaintainer: x\n",
    "lib/apk/db/installed": b"C:Q1\nP:a\nV:1-r0\nA:x86_64\nL:MIT\nF:bin\nR:x\n\nP:b\nV:1\n",
    "app/node_modules/a/package.json": b'{"name":"@a/b","version":"1","license":{"type":"MIT"}}',
    "usr/lib/python3/site-packages/a-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: a\n"
    b"Version: 1\nLicense: MIT\n\ntext",
}


@pytest.mark.parametrize("name", sorted(SOFTWARE))
def test_any_software_is_listed_or_not(name: str, tmp_path: Path) -> None:
    File(tmp_path, "etc/os-release").written(b"ID=debian\nVERSION_ID=12\n")
    file = File(tmp_path, name)

    def read(data: bytes) -> None:
        file.written(data)
        scan(str(tmp_path))

    tried(name, read, [SOFTWARE[name]])


def test_any_program_says_what_it_was_built_of_or_not(tmp_path: Path) -> None:
    file, good = File(tmp_path, "bin/x"), Path("/bin/true").read_bytes()
    good = good.replace(b".comment\0", b".dep-v0\0\0").replace(b".data\0", b".go.b\0")

    def read(data: bytes) -> None:
        file.written(data)
        scan(str(tmp_path))

    tried("program", read, [good[:600] + good[-6000:], good])
