"""How `buildctl` is told to speak to a daemon: addresses, patience, keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.cli.buildctl.connection import DEFAULT_ADDRESS, ConnectionSettings
from croze.cli.common import Common, UsageError


def settings(**texts: str) -> ConnectionSettings:
    return ConnectionSettings.of(texts, Common())


def test_where_the_daemon_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUILDKIT_HOST", raising=False)
    assert settings().address == DEFAULT_ADDRESS
    monkeypatch.setenv("BUILDKIT_HOST", "tcp://b:1")
    assert settings().address == "tcp://b:1"
    assert settings(addr="tcp://c:1").address == "tcp://c:1"
    assert (settings().timeout_s, settings(timeout="7").timeout_s) == (5, 7)
    assert settings(timeout="7", wait="true").timeout_s is None


@pytest.mark.parametrize(
    "names", [("ca.pem", "cert.pem", "key.pem"), ("ca.crt", "tls.crt", "tls.key")]
)
def test_a_directory_of_keys(tmp_path: Path, names: tuple[str, str, str]) -> None:
    """As `docker-machine` has it, or as Kubernetes' secrets have it."""
    (tmp_path / names[0]).touch()
    found = settings(tlsdir=str(tmp_path))
    assert (found.ca, found.cert, found.key) == tuple(str(tmp_path / name) for name in names)
    assert found.is_secured
    tls = found.tls()
    assert tls is not None
    assert (tls.ca, tls.cert, tls.key) == tuple(tmp_path / name for name in names)


def test_keys_that_are_not_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no ca\.pem and no ca\.crt"):
        settings(tlsdir=str(tmp_path))
    with pytest.raises(UsageError, match="cannot specify tlsdir and tlscacert/tlscert/tlskey"):
        settings(tlsdir=str(tmp_path), tlscert="x")


def test_a_name_alone_asks_for_keys_of_the_system() -> None:
    assert settings(tlsservername="b").is_secured
    assert not settings().is_secured
