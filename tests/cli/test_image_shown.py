"""An image as templates see it: what real buildx printed of the same config."""

from __future__ import annotations

import pytest

from croze.cli.imagetools.shown import template_value
from croze.errors import InvalidRequest
from croze.gotypes.template import Fields, TemplateError, render
from croze.image.config import HistoryEntry, ImageConfig, RootFS, RunConfig
from croze.image.descriptor import OCI_MANIFEST, Descriptor

ROOT = Descriptor(OCI_MANIFEST, "sha256:" + "0" * 64, 2)


def config(architecture: str = "amd64", created: str = "2026-01-02T03:04:05.060Z") -> ImageConfig:
    return ImageConfig(
        architecture,
        "linux",
        created,
        config=RunConfig(env=("A=b",), labels={"c": "d"}),
        rootfs=RootFS("layers", ()),
        history=(HistoryEntry(created, "RUN x"), HistoryEntry(empty_layer=True)),
    )


def value(**configs: ImageConfig) -> Fields:
    images = {f"linux/{name}": one for name, one in configs.items()}
    return template_value("n", ROOT, None, images, sbom={}, provenance={})


PRINTED = (
    "{2026-01-02 03:04:05.06 +0000 UTC  {amd64 linux  [] } { map[] [A=b] [] [] map[]  map[c:d]  "
    "false} {layers []} [{2026-01-02 03:04:05.06 +0000 UTC RUN x   false} {<nil>    true}]}"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{.Image}}", PRINTED),
        ("{{print .Image}}", f"&{PRINTED}"),
        (
            "{{.Image.Platform}} {{.Image.Platform.OS}} {{.Image.OS}}",
            "{amd64 linux  [] } linux linux",
        ),
        ("{{.Image.Created.Year}} {{(index .Image.History 1).Created}}", "2026 <nil>"),
        ("{{index .Image.Config.Labels `no`}}|{{.Image.Config.Labels.no}}", "|<no value>"),
        ("{{printf `%T %T` .Image .Image.Platform}}", "*v1.Image v1.Platform"),
        ("{{.Manifest.Digest}} {{printf `%T` .Manifest.Digest}}", f"{ROOT.digest} digest.Digest"),
        (
            "{{with .Manifest.Digest}}{{.Algorithm}} {{.Encoded}} {{.Hex}} {{slice . 7 9}}{{end}}",
            f"sha256 {'0' * 64} {'0' * 64} 00",
        ),
        ("{{json .Manifest.Digest}} {{eq .Manifest.Digest `x`}}", f'"{ROOT.digest}" false'),
    ],
)
def test_one_image(text: str, shown: str) -> None:
    assert render(text, value(amd64=config())) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{index .Image `linux/amd64`}}", PRINTED),
        ("{{(index .Image `linux/arm64`).Platform}}", "{arm64 linux  [] }"),
        ("{{index .Image `no`}} {{.Image.no}}", "<nil> <no value>"),
        ("{{index .SBOM `no`}} {{index .Provenance `no`}}", "{<nil> []} {<nil>}"),
        ("{{printf `%T` .Provenance}}", "map[string]imagetools.provenanceStub"),
    ],
)
def test_several_images(text: str, shown: str) -> None:
    assert render(text, value(amd64=config(), arm64=config("arm64"))) == shown


def test_no_image_has_no_fields() -> None:
    with pytest.raises(TemplateError, match=r"nil pointer evaluating \*v1\.Image\.OS"):
        render("{{(index .Image `no`).OS}}", value(amd64=config(), arm64=config("arm64")))


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="invalid time 'nope' in an image's config"):
        value(amd64=config(created="nope"))
