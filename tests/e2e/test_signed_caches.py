"""GitHub caches that are signed: by the program in `buildkitd.toml`, and asked for by others."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.app import APP, base
from tests.e2e.cached_steps import COLD, NOTHING, STEPS, cached, ran
from tests.e2e.sandbox import Sandbox
from tests.support.actions_cache import READ, WRITE, Service, actions_cache
from tests.support.sigstore import ACTIONS, Instance

CHECKOUT = Path(__file__).parents[2]
SIGN = """[cache.gha.sign]
command = {command}
"""
VERIFY = """[cache.gha.verify]
required = true
[cache.gha.verify.policy]
timestampThreshold = 1
tlogThreshold = 1
issuer = "{issuer}"
SubjectAlternativeName = "https://github.com/{owner}/*"
"""


@dataclass(frozen=True)
class Signing:
    """An instance, and where other processes find it."""

    instance: Instance
    folder: Path

    def sign(self) -> str:
        command = ["env", f"PYTHONPATH={CHECKOUT}", sys.executable, "-m", "tests.support.sigstore"]
        return SIGN.format(command=json.dumps([*command, f"{self.folder}/keys"]))


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    made = Signing(Instance(), tmp_path_factory.mktemp("instance"))
    made.instance.save(made.folder / "keys")
    (made.folder / "root.json").write_text(json.dumps(made.instance.trusted_root()))
    return made


@contextmanager
def daemon(folder: Path, signing: Signing, toml: str) -> Iterator[Sandbox]:
    folder.mkdir()
    (folder / "buildkitd.toml").write_text(toml)
    trusted = {"CROZE_SIGSTORE_TRUSTED_ROOT": f"{signing.folder}/root.json"}
    made = Sandbox(folder, extra_env=trusted)
    with made.running("--config", f"{folder}/buildkitd.toml"):
        yield made


def flag(service: Service) -> str:
    token = service.token(("refs/heads/x", READ | WRITE))
    return f"type=gha,url_v2={service.url},token={token}"


def test_a_signed_cache_is_read_by_who_trusts_its_signer(
    tmp_path: Path, signing: Signing, busybox: Path
) -> None:
    ours = VERIFY.format(issuer=ACTIONS, owner="acme")
    theirs = VERIFY.format(issuer=ACTIONS, owner="evil")
    flags = [*base(busybox), "--progress=plain", *NOTHING]
    with actions_cache() as service:
        where = flag(service)
        with daemon(tmp_path / "ours", signing, signing.sign() + ours) as one:
            app = one.context("app", {"Dockerfile": APP, "one": "1\n", "two": "2\n"})
            done = one.croze("build", *flags, "--cache-to", f"{where},mode=max", app)
            assert "signing cache index sha256:" in done.stderr
            one.croze(*COLD)
            again = one.croze("build", *flags, "--cache-from", where, app)
            assert "verifying signature of cache index sha256:" in again.stderr
            assert cached(again.stderr) >= {STEPS[2]}
            assert not ran(again.stderr)
            signatures = [each for each in service.entries if each.key.endswith("-sig")]
            good, signatures[-1].data = signatures[-1].data, b'{"mediaType": "x"}'
            one.croze(*COLD)
            spoilt = one.croze("build", *flags, "--cache-from", where, app)
            assert "unsupported bundle media type" in spoilt.stderr
            assert ran(spoilt.stderr) == set(STEPS), "a cache that is not trusted is not used"
            signatures[-1].data = good
        with daemon(tmp_path / "theirs", signing, theirs) as two:
            refused = two.croze("build", *flags, "--cache-from", where, app)
            assert (
                'certificate field "subjectAlternativeName" does not match policy' in refused.stderr
            )
            assert ran(refused.stderr) == set(STEPS)


def test_what_the_program_says_is_told(tmp_path: Path, signing: Signing, busybox: Path) -> None:
    toml = SIGN.format(command=json.dumps(["sh", "-c", "echo no identity token >&2; exit 1"]))
    with actions_cache() as service, daemon(tmp_path / "one", signing, toml) as one:
        app = one.context("app", {"Dockerfile": APP, "one": "1\n", "two": "2\n"})
        flags = [*base(busybox), *NOTHING, "--cache-to"]
        failed = one.croze("build", *flags, flag(service), app, check=False)
        assert failed.code == 1
        assert "signing command failed: no identity token" in failed.stderr
        one.croze("build", *flags, f"{flag(service)},ignore-error=true", app)
