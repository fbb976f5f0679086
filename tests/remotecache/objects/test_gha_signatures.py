"""Signed indexes in GitHub's Actions cache: made by a program, and asked for."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from croze.errors import CrozeError, PermissionDenied
from croze.http.daemon import HttpClient
from croze.remotecache.objects.gha import GhaCache
from croze.remotecache.objects.gha_signatures import SignatureRules, Signatures, matches
from croze.sigstore.verifier import SigstoreVerifier
from croze.status import Silent
from tests.remotecache.objects.gha_caches import SCOPES, opened, options
from tests.support.actions_cache import Service, actions_cache
from tests.support.sigstore import REPOSITORY, Instance, Spoilt

INDEX = b'{"layers":[]}'
DIGEST = "sha256:" + hashlib.sha256(INDEX).hexdigest()
KEY = f"buildkit-blob-1-{DIGEST}-sig"


@dataclass
class Signed:
    """A service, an instance that is trusted, and where its bundles are put for the command."""

    service: Service
    http: HttpClient
    instance: Instance
    bundle: Path
    signatures: Signatures

    def cache(self, **changes: object) -> GhaCache:
        found = options(self.service.url, self.service.token(*SCOPES), 2)
        signatures = replace(self.signatures, **changes)
        return opened(self.http, found, signatures)

    def signs(self, bundle: Mapping[str, object]) -> None:
        self.bundle.write_text(json.dumps(bundle))

    def stored(self) -> dict[str, bytes]:
        return {each.key: each.data or b"" for each in self.service.entries if each.committed}


@pytest.fixture
async def signed(tmp_path: Path) -> AsyncIterator[Signed]:
    instance, root = Instance(), tmp_path / "trusted_root.json"
    root.write_text(json.dumps(instance.trusted_root()))
    bundle = tmp_path / "bundle"
    http = HttpClient()
    signatures = Signatures(
        SigstoreVerifier(tmp_path / "policy", str(root)),
        apart=True,
        command=("sh", "-c", f"cat > {tmp_path}/seen && cat {bundle}"),
        required=True,
        rules=SignatureRules({"sourceRepositoryURI": REPOSITORY}, timestamps=1, logs=1),
    )
    with actions_cache() as service:
        made = Signed(service, http, instance, bundle, signatures)
        made.signs(instance.sign(INDEX))
        yield made
    await http.close()


async def test_what_is_signed_is_read(signed: Signed, tmp_path: Path) -> None:
    await signed.cache().write_configs(INDEX, Silent())
    assert (tmp_path / "seen").read_bytes() == INDEX
    assert signed.stored()[KEY] == signed.bundle.read_bytes()
    short = hashlib.sha256(b"refs/heads/x").hexdigest()[:8]
    assert f"index-buildkit-1-{short}-sig#1" in signed.stored()
    assert list(await signed.cache().read_configs(Silent())) == [INDEX]
    await signed.cache().write_configs(INDEX, Silent())
    assert list(await signed.cache().read_configs(Silent())) == [INDEX], "signed before"


async def test_without_a_signature(signed: Signed) -> None:
    await signed.cache(command=()).write_configs(INDEX, Silent())
    with pytest.raises(PermissionDenied, match="missing signature for github actions cache"):
        await signed.cache().read_configs(Silent())
    assert list(await signed.cache(required=False).read_configs(Silent())) == [INDEX]


RULES: Mapping[str, tuple[SignatureRules, str]] = {
    "field": (
        SignatureRules({"sourceRepositoryURI": "https://github.com/evil/*"}),
        'certificate field "sourceRepositoryURI" does not match policy '
        '("https://github.com/acme/app" != "https://github.com/evil/*")',
    ),
    "field that is not there": (
        SignatureRules({"buildTrigger": "push"}),
        'certificate field "buildTrigger"',
    ),
    "times": (SignatureRules(timestamps=2), "not enough timestamp authorities: have 1, need 2"),
    "logs": (SignatureRules(logs=2), "not enough tlog authorities: have 1, need 2"),
}


@pytest.mark.parametrize("name", RULES)
async def test_rules(signed: Signed, name: str) -> None:
    rules, message = RULES[name]
    await signed.cache().write_configs(INDEX, Silent())
    with pytest.raises(PermissionDenied) as refused:
        await signed.cache(rules=rules).read_configs(Silent())
    assert message in str(refused.value)


async def test_what_does_not_hold_is_not_written(signed: Signed) -> None:
    spoilt = Spoilt(tree_root=b"0" * 32)
    for bundle in (
        signed.instance.sign(b"another"),
        signed.instance.sign(INDEX, spoilt=spoilt),
        Instance().sign(INDEX),
        {"mediaType": "nonsense"},
    ):
        signed.signs(bundle)
        with pytest.raises(PermissionDenied):
            await signed.cache().write_configs(INDEX, Silent())
    assert KEY not in signed.stored()


COMMANDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "fails": (("sh", "-c", "echo no key >&2; exit 3"), "no key: exit status 3"),
    "is not there": (("/nonexistent/cosign",), "no such file or directory"),
    "has a name that can not be": (("a\0b",), "embedded null byte"),
    "says too much": ((sys.executable, "-c", "print('x' * (2 << 20))"), "larger than 1 MB"),
    "reads nothing": (("true",), "bundle can't be read"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_that(signed: Signed, name: str) -> None:
    command, message = COMMANDS[name]
    with pytest.raises(CrozeError, match=message):
        await signed.cache(command=command).write_configs(INDEX, Silent())
    assert KEY not in signed.stored()


async def test_bytes_that_were_changed(signed: Signed) -> None:
    """The index, or its signature, by somebody who may write to the cache."""
    await signed.cache().write_configs(INDEX, Silent())
    index = next(each for each in signed.service.entries if "index" in each.key)
    index.data = b'{"layers": []}'
    with pytest.raises(PermissionDenied, match="missing signature"):
        await signed.cache().read_configs(Silent())
    index.data = INDEX
    signature = next(each for each in signed.service.entries if each.key == KEY)
    for data in (
        b"",
        b"{}",
        b"[" * 100_000,
        b" " * (2 << 20),
        json.dumps(Instance().sign(INDEX)).encode(),
    ):
        signature.data = data
        with pytest.raises(CrozeError):
            await signed.cache().read_configs(Silent())


def test_patterns() -> None:
    assert matches("*", "")
    assert matches("a*", "ab")
    assert matches("*b", "ab")
    assert matches("*b*", "abc")
    assert matches("a", "a")
    assert not matches("a", "ab")
    assert not matches("a*c", "abc"), "in the middle it is a star"
    assert not matches("*b", "abc")
    assert not matches("b*", "abc")
