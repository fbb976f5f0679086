"""Builds on a bridge of their own."""

from __future__ import annotations

from pathlib import Path

from croze.runtime.netns import has_interface
from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox

BRIDGE = "crozee2e0"


def test_a_build_on_a_bridge(sandbox: Sandbox, busybox: Path) -> None:
    config, out = sandbox.path / "buildkitd.toml", sandbox.path / "out"
    config.write_text(
        "[worker.oci]\nnetworkMode = 'bridge'\ncniPoolSize = 1\n"
        f"bridgeName = '{BRIDGE}'\nbridgeSubnet = '10.94.0.0/24'\n"
    )
    steps = "RUN grep -c eth0 /proc/net/dev > /on\nRUN --network=none ! grep eth0 /proc/net/dev\n"
    steps += "RUN ! grep 127.0.0 /etc/resolv.conf\n"
    context = sandbox.context("net", {"Dockerfile": f"FROM base\n{steps}"})
    sandbox.stop()
    sandbox.start("--config", str(config))
    assert not has_interface(BRIDGE)
    sandbox.croze("build", *base(busybox), "-o", out, context)
    assert (out / "on").read_text() == "1\n"
    assert has_interface(BRIDGE)
    assert "org.mobyproject.buildkit.worker.network" in sandbox.buildx("sid", "inspect").output
    leases = Path("/var/lib/cni/networks/buildkit")
    assert len(list(leases.glob("10.94.0.*"))) == 1
    sandbox.stop(9)  # with a network that is ready for the next step
    sandbox.start("--config", str(config))
    sandbox.croze("build", *base(busybox), "--no-cache", context)
    assert sandbox.stop() == 0
    sandbox.start()
    assert list(leases.glob("10.94.0.*")) == []
    assert not has_interface(BRIDGE)
