"""What keeps a daemon from building is told before it listens."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from croze.daemon.config.toml import OciWorker
from croze.daemon.engine.preflight import check
from croze.errors import CrozeError
from croze.runtime.networks import slirp


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        (OciWorker(binary="no-such-runtime"), "failed to find no-such-runtime binary"),
        (OciWorker(default_cgroup_parent="a//b"), "it has an empty part"),
        (OciWorker(network_mode="slirp"), 'invalid network mode: "slirp"'),
        (
            OciWorker(network_mode="cni", cni_config_path="no-such-config.json"),
            "failed to load CNI config no-such-config.json",
        ),
    ],
)
def test_settings_with_which_no_step_runs(
    worker: OciWorker, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "runc"
    runtime.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    check(OciWorker())
    with pytest.raises(CrozeError, match=told):
        check(worker)


def test_a_network_mode_without_its_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runc", "slirp4netns"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(slirp, "TUN", "/no/tun")
    with pytest.raises(CrozeError, match="needs /no/tun: no such file"):
        check(OciWorker(network_mode="slirp4netns"))


@pytest.mark.parametrize(("place", "possible"), [("new/s", True), ("file/s", False), ("", False)])
def test_where_containers_may_send_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, possible: bool
) -> None:
    (tmp_path / "runc").touch(mode=0o755)
    (tmp_path / "file").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with nullcontext() if possible else pytest.raises(CrozeError, match="cannot listen on"):
        check(OciWorker(), str(tmp_path / place))
