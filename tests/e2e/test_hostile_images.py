"""Images that are not what they say."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from croze.image.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from croze.image.manifest import digest_of
from tests.e2e.docker_engine import tar_of
from tests.e2e.sandbox import Sandbox


def image(sandbox: Sandbox, name: str, tar: bytes, said: bytes) -> tuple[Path, str]:
    """A layout with one layer, said to be another; its manifest's digest."""
    layer = gzip.compress(tar, mtime=0)
    rootfs = {"type": "layers", "diff_ids": [digest_of(said)]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()

    def named(kind: str, data: bytes) -> dict[str, object]:
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    below = {"config": named(OCI_CONFIG, config), "layers": [named(OCI_LAYER_GZIP, layer)]}
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **below}).encode()
    files: dict[str, str | bytes] = {
        f"blobs/sha256/{digest_of(each).removeprefix('sha256:')}": each
        for each in (layer, config, data)
    }
    index = {"schemaVersion": 2, "manifests": [named(OCI_MANIFEST, data)]}
    files |= {"oci-layout": '{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index)}
    return sandbox.context(name, files), digest_of(data)


def test_who_claims_the_layers_of_others_spoils_nothing(sandbox: Sandbox) -> None:
    good = tar_of({"good": "good"})
    context = sandbox.context("from", {"Dockerfile": "FROM x\nCOPY Dockerfile /\n"})
    codes = []
    for name, tar in (("bad", tar_of({"bad": "bad"})), ("good", good)):
        folder, digest = image(sandbox, name, tar, good)
        flags = [f"--build-context=x=oci-layout://{folder}@{digest}", f"-o={sandbox.path}/{name}"]
        codes.append(sandbox.croze("build", *flags, context, check=False).code)
    assert codes == [1, 0]
    assert (sandbox.path / "good/good").read_text() == "good"


def test_who_claims_the_layers_of_others_is_not_published_as_them(sandbox: Sandbox) -> None:
    """Nothing is unpacked here: what the layers are is only what images say."""
    good = tar_of({"good": "good"})
    context = sandbox.context("from", {"Dockerfile": "FROM x\nLABEL a=b\n"})
    for name, tar in (("bad", tar_of({"bad": "bad"})), ("good", good)):
        folder, digest = image(sandbox, name, tar, good)
        flags = [f"--build-context=x=oci-layout://{folder}@{digest}"]
        flags.append(f"-o=type=oci,tar=false,dest={sandbox.path}/{name}")
        sandbox.croze("build", *flags, context)
    layer = digest_of(gzip.compress(good, mtime=0)).removeprefix("sha256:")
    assert (sandbox.path / "good/blobs/sha256" / layer).is_file()
