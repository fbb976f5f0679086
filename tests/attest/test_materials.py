"""Materials as package URLs and addresses."""

from __future__ import annotations

from croze.attest.capture import Capture
from croze.attest.provenance import materials
from croze.image.platform import Platform
from croze.sources.materials import BlobMaterial, GitMaterial, HttpMaterial, ImageMaterial

HEX = "a" * 64
DIGEST = f"sha256:{HEX}"


def test_every_kind_of_material_has_its_uri_and_digests() -> None:
    capture = Capture()
    for material in (
        HttpMaterial("https://me:pw@example.com/f", DIGEST),
        GitMaterial(
            "https://example.com/r.git#main", "b" * 40, f"docker-image+blob://h/r@{DIGEST}"
        ),
        GitMaterial("https://example.com/s.git", "c" * 64),
        BlobMaterial(f"example.com/blob@{DIGEST}", DIGEST),
        BlobMaterial(f"docker.io/library/layout@{DIGEST}", DIGEST, local=True),
        ImageMaterial("docker.io/library/b:1", Platform("arm64", "linux", variant="v8"), DIGEST),
        ImageMaterial("docker.io/library/a:1", None, "", local=True),
    ):
        capture.add(material)
    assert [(each.uri, each.digest) for each in materials(capture.described())] == [
        ("pkg:oci/a@1", {}),
        ("pkg:docker/b@1?platform=linux%2Farm64", {"sha256": HEX}),
        (f"pkg:oci/layout?digest={DIGEST}&ref_type=blob", {"sha256": HEX}),
        (f"pkg:docker/example.com/blob?digest={DIGEST}&ref_type=blob", {"sha256": HEX}),
        ("https://example.com/r.git#main", {"sha1": "b" * 40}),
        (
            "pkg:docker/h/r@latest?ref_type=bundle&vcs_url=https:%2F%2Fexample.com%2Fr.git%23main",
            {"sha256": HEX},
        ),
        ("https://example.com/s.git", {"sha256": "c" * 64}),
        ("https://xxxxx:xxxxx@example.com/f", {"sha256": HEX}),
    ]
