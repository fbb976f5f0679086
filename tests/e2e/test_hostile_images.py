"""Images that are not what they say."""

from __future__ import annotations

import gzip
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from croze.digests import digest_of
from croze.fs.remove import remove_tree
from croze.image.descriptor import OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST
from tests.e2e.docker_engine import tar_of
from tests.e2e.sandbox import Sandbox


def image(
    sandbox: Sandbox, name: str, tar: bytes, said: bytes, **claims: object
) -> tuple[Path, str]:
    """A layout with one layer, said to be another; its manifest's digest. `claims`: what is said of
    the layer besides."""
    layer = gzip.compress(tar, mtime=0)
    rootfs = {"type": "layers", "diff_ids": [digest_of(said)]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()

    def named(kind: str, data: bytes) -> dict[str, object]:
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    described = named(OCI_LAYER_GZIP, layer) | claims
    below = {"config": named(OCI_CONFIG, config), "layers": [described]}
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


CLAIMS: list[dict[str, object]] = [
    {"mediaType": "text/plain"},
    {"mediaType": OCI_LAYER_ZSTD},
    {"data": "b3duZWQ=", "platform": {"os": "x", "architecture": "y"}, "artifactType": "z"},
    {"annotations": {"owned": "yes"}},
]


def test_what_one_image_says_of_a_layer_is_said_of_no_others(sandbox: Sandbox) -> None:
    tar = tar_of({"good": "good"})
    layer = gzip.compress(tar, mtime=0)
    context = sandbox.context("from", {"Dockerfile": "FROM x\nLABEL a=b\n"})
    for number, claims in enumerate([*CLAIMS, {}]):
        folder, digest = image(sandbox, f"claims-{number}", tar, tar, **claims)
        out = sandbox.path / f"out-{number}"
        flags = [f"--build-context=x=oci-layout://{folder}@{digest}"]
        sandbox.croze("build", *flags, f"-o=type=oci,tar=false,dest={out}", context)
    index = json.loads((out / "index.json").read_bytes())
    top = index["manifests"][0]["digest"].removeprefix("sha256:")
    manifest = json.loads((out / "blobs/sha256" / top).read_bytes())
    plain = {"mediaType": OCI_LAYER_GZIP, "digest": digest_of(layer), "size": len(layer)}
    assert manifest["layers"] == [plain]


@dataclass(frozen=True)
class Images:
    """A good image and one that claims to be the same, and what is built from them."""

    sandbox: Sandbox
    good: bytes = tar_of({"good": "good"})

    def build(self, name: str, dockerfile: str, output: str) -> int:
        tar = self.good if name == "good" else tar_of({"bad": "bad"})
        folder, digest = image(self.sandbox, name, tar, self.good)
        context = self.sandbox.context(f"from-{name}", {"Dockerfile": f"FROM x\n{dockerfile}\n"})
        flags = [f"--build-context=x=oci-layout://{folder}@{digest}", f"-o={output}"]
        flags += ["--no-cache"] * (name == "bad")
        return self.sandbox.croze("build", *flags, context, check=False).code

    def publish(self, name: str, dockerfile: str) -> list[str]:
        """The layers of what was published."""
        out = self.sandbox.path / "out"
        if out.exists():
            remove_tree(out)
        assert self.build(name, dockerfile, f"type=oci,tar=false,dest={out}") == 0
        index = json.loads((out / "index.json").read_bytes())
        top = index["manifests"][0]["digest"].removeprefix("sha256:")
        manifest = json.loads((out / "blobs/sha256" / top).read_bytes())
        return [layer["digest"] for layer in manifest["layers"]]

    @property
    def layer(self) -> str:
        return digest_of(gzip.compress(self.good, mtime=0))


LABEL, LINK = "LABEL a=b", "COPY --link Dockerfile /"


@pytest.mark.parametrize("unpacked", [False, True])
def test_who_claims_the_layers_of_others_is_not_published_as_them(
    sandbox: Sandbox, unpacked: bool
) -> None:
    """What is not unpacked is only what images say, before and after the daemon is killed. Whoever
    claims to be what was unpacked isn't it either."""
    images = Images(sandbox)
    if unpacked:
        assert images.build("good", "COPY Dockerfile /", "type=cacheonly") == 0
    for dockerfile in (LABEL, LINK):
        images.publish("bad", dockerfile)
        assert images.publish("good", dockerfile)[0] == images.layer
    images.publish("bad", LINK)
    sandbox.stop(signal.SIGKILL)
    sandbox.start()
    assert images.publish("good", LINK)[0] == images.layer
    assert images.build("bad", LABEL, str(sandbox.path / "files")) != 0
    assert not (sandbox.path / "files/bad").exists()


def test_what_nobody_has_seen_is_not_exchanged_while_another_build_runs(sandbox: Sandbox) -> None:
    """The second resolves its image while the first has yet to take its own out of the cache."""
    images = Images(sandbox)
    images.publish("bad", LINK)
    with ThreadPoolExecutor() as threads:
        for _ in range(2):
            liar = threads.submit(images.build, "bad", LINK, "type=cacheonly")
            assert images.publish("good", LINK)[0] == images.layer
            liar.result()
