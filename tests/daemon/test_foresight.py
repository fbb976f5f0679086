"""What keeps a daemon from building is told before it listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.daemon.config import OciWorker
from croze.daemon.foresight import check
from croze.errors import CrozeError


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
