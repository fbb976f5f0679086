"""Builds on a bridge of their own."""

from __future__ import annotations

from pathlib import Path

from croze.runtime.networks.netns import has_interface
from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox
from tests.e2e.web import handler, web
from tests.support.web_server import answering

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


def test_the_proxy_of_a_step_asks_from_the_bridge(
    sandbox: Sandbox, busybox: Path, tmp_path: Path
) -> None:
    config = sandbox.path / "buildkitd.toml"
    config.write_text(
        "insecure-entitlements = ['network.host']\n[worker.oci]\nnetworkMode = 'bridge'\n"
        f"bridgeName = '{BRIDGE}'\nbridgeSubnet = '10.94.0.0/24'\n"
    )
    (tmp_path / "data").write_text("from the web\n")
    with web(tmp_path, []) as here, answering(handler(tmp_path, []), "0.0.0.0") as everywhere:
        there = everywhere.replace("0.0.0.0", "10.94.0.1")
        get = "env NO_PROXY= no_proxy= wget -q -O-"
        steps = f"RUN {get} {there}/data > /data\nRUN ! {get} {here}/data\n"
        steps += f"RUN --network=host {get} {here}/data > /host\n"
        context = sandbox.context("net", {"Dockerfile": f"FROM base\n{steps}"})
        sandbox.stop()
        sandbox.start("--config", str(config), "--proxy-network")
        flags = ["--progress=plain", "--allow=network.host", f"--output={tmp_path}/out"]
        said = sandbox.croze("build", *base(busybox), *flags, context).stderr
    assert (tmp_path / "out/data").read_text() == "from the web\n"
    assert (tmp_path / "out/host").read_text() == "from the web\n"
    assert f"- GET {there}/data -> 200" in said
    assert f"- GET {here}/data -> 502" in said
    assert f"- GET {here}/data -> 200" in said
