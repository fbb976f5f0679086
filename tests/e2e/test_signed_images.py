"""Policies on who signed images and files, with an instance of Sigstore's of our own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.sandbox import Done, Sandbox
from tests.e2e.signed_builders import BUILDER, ROOT, image_of
from tests.e2e.web import web
from tests.support.signed_images import push
from tests.support.sigstore import GITHUB, Instance

HEAD = "package docker\ndefault allow = false\n"
TAIL = '\nallow if input.local\ndecision := {"allow": allow}\n'
FILE = b"released\n"


@dataclass(frozen=True)
class Place:
    """Images in a registry by name, a file on the web, and what is trusted."""

    images: dict[str, str]
    url: str
    root: Path
    bundles: dict[str, str]


@pytest.fixture(scope="module")
def place(local_registry: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("signed")
    instance, other = Instance(), Instance()
    (folder / "root.json").write_text(json.dumps(instance.trusted_root()))
    made = {name: image_of(name) for name in ("none", "bundle", "simple", "builder", "forged")}
    made["bundle"].sign(instance)
    made["simple"].sign(instance, simple=True)
    made["builder"].sign(instance, fields={**GITHUB, 9: BUILDER}, san=BUILDER)
    made["forged"].sign(other)
    made["hardened"] = image_of("hardened", hardened=True)
    made["hardened"].sign(instance, simple=True, key=ec.generate_private_key(ec.SECP256R1()))
    images = {name: push(image, local_registry, f"signed/{name}") for name, image in made.items()}
    digest = hashlib.sha256(FILE).hexdigest()
    bundles = {
        "good.json": instance.attest({"file": digest}),
        "builder.json": instance.attest(
            {"file": digest}, fields={**GITHUB, 9: BUILDER}, san=BUILDER
        ),
        "sbom.json": instance.attest({"file": digest}, "https://spdx.dev/Document"),
        "another.json": instance.attest({"file": "0" * 64}),
        "forged.json": other.attest({"file": digest}),
        "message.json": instance.sign(FILE),
    }
    site = folder / "site"
    site.mkdir()
    (site / "file").write_bytes(FILE)
    with web(site, []) as url:
        texts = {name: json.dumps(bundle) for name, bundle in bundles.items()}
        yield Place(images, url, folder / "root.json", texts)


def built(desk: Sandbox, place: Place, dockerfile: str, rule: str, *flags: str) -> Done:
    files = {
        "Dockerfile": dockerfile,
        "Dockerfile.rego": f"{HEAD}allow if {{ {rule} }}{TAIL}",
        **place.bundles,
    }
    context = desk.context("signed", files)
    words = ("build", "--progress=plain", "--output=type=cacheonly", *flags, ".")
    return desk.croze(*words, cwd=context, check=False, env={ROOT: str(place.root)})


ONE = "some s in input.image.signatures; count(input.image.signatures) == 1; "
REPOSITORY = 's.signer.sourceRepositoryURI == "https://github.com/acme/app"'
BY_DOCKER = 'docker_github_builder(input.image, "acme/app")'
IMAGES = {
    "bundle": f'{ONE}s.kind == "self-signed-github-repo"; s.type == "bundle-v0.3"; {REPOSITORY}; '
    f"count(s.timestamps) == 1; not {BY_DOCKER}",
    "simple": f'{ONE}s.type == "simplesigning-v1"; s.dockerReference == "registry/app"',
    "builder": f'{BY_DOCKER}; docker_github_builder_tag(input.image, "acme/app", "v1"); '
    'not docker_github_builder(input.image, "acme/other")',
    "none": "input.image.hasProvenance; not input.image.signatures",
    "forged": "input.image.hasProvenance; not input.image.signatures",
    "hardened": "input.image.hasProvenance; not input.image.signatures",
}


def test_policies_see_who_signed_images(desk: Sandbox, place: Place) -> None:
    """Each by rules of its own, in one build of all."""
    stages = [f"FROM {place.images[name]} AS {name}" for name in IMAGES]
    copies = [f"COPY --from={name} / /{name}/" for name in IMAGES]
    rules = [f'endswith(input.image.repo, "/{name}"); {rule}' for name, rule in IMAGES.items()]
    dockerfile = "\n".join([*stages, "FROM scratch", *copies])
    done = built(desk, place, dockerfile, " }\nallow if { ".join(rules))
    assert done.code == 0, done.stderr


def test_policies_see_who_signed_files(desk: Sandbox, place: Place) -> None:
    wrong = ("sbom.json", "another.json", "forged.json", "message.json", "Dockerfile", "no.json")
    rules = [
        'artifact_attestation(input.http, "good.json").kind == "self-signed-github-repo"',
        'docker_github_builder_bundle(input.http, "builder.json", "acme/app")',
        'not docker_github_builder_bundle(input.http, "good.json", "acme/app")',
        *(f'not artifact_attestation(input.http, "{name}")' for name in wrong),
    ]
    dockerfile = f"FROM scratch\nADD {place.url}/file /\n"
    done = built(desk, place, dockerfile, "; ".join(rules))
    assert done.code == 0, done.stderr


def test_the_log_says_why_nothing_counts(desk: Sandbox, place: Place) -> None:
    rule = "count(input.image.signatures) > 0"
    flags = ("--policy", "log-level=debug")
    done = built(desk, place, f"FROM {place.images['forged']}\n", rule, *flags)
    assert "not allowed by policy: action DENY" in done.stderr
    assert "not enough verified log entries from transparency log" in done.stderr


def test_eval_shows_who_signed(desk: Sandbox, place: Place) -> None:
    words = ("policy", "eval", "--print", "--fields", "image.signatures")
    source = f"docker-image://{place.images['bundle']}"
    done = desk.croze(*words, source, env={ROOT: str(place.root)})
    (signature,) = json.loads(done.stdout)["image"]["signatures"]
    assert signature["signer"]["certificateIssuer"] == "CN=sigstore-intermediate,O=sigstore.dev"
    assert signature["timestamps"][0]["type"] == "Tlog"
