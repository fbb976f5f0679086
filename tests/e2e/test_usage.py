"""What steps use of the machine, told where it is known: with cgroups of version 2."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox, execute

UNIFIED = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
PARENT = f"croze-usage-test-{os.getpid()}"
LEFT = f"cd /sys/fs/cgroup/{PARENT} && find . -mindepth 2 -type d; rmdir buildkit ../{PARENT}"
DOCKERFILE = "FROM base\nRUN i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done\n"


@pytest.fixture
def unified(tmp_path: Path) -> Iterator[Sandbox]:
    """As on a machine with nothing else, whatever this one has. runc, as crun wants controllers."""
    made = Sandbox(tmp_path, prefix=("unshare", "--mount", "sh", "-c", UNIFIED, "sh"))
    settings = tmp_path / "buildkitd.toml"
    settings.write_text(f'[worker.oci]\ndefaultCgroupParent = "{PARENT}"\nbinary = "runc"\n')
    with made.running(f"--config={settings}"):
        yield made
    assert execute([*made.prefix, "sh", "-c", LEFT], made.env).output == ""


def steps(path: Path) -> list[dict[str, Any]]:
    predicate = json.loads(path.read_bytes())["predicate"]
    config = predicate["buildDefinition"]["internalParameters"]["buildConfig"]
    return [step for step in config["llbDefinition"] if "exec" in step["op"]["Op"]]


def test_steps_are_measured(unified: Sandbox, busybox: Path) -> None:
    context, out = unified.context("app", {"Dockerfile": DOCKERFILE}), unified.path / "out"
    flags = ["--provenance=mode=max,capture-usage=true", "-o", f"type=local,dest={out}"]
    unified.croze("build", *base(busybox), *flags, context)
    (step,) = steps(out / "provenance.json")
    usage = step["resourceUsage"]
    *_, sample = usage["samples"]  # one, unless the machine is busy
    assert sample["cpuStat"]["usageNanos"] > 10_000_000
    assert sample["cpuStat"]["usageNanos"] >= sample["cpuStat"]["userNanos"] > 0
    assert sample["pidsStat"].get("current", 0) == 0
    assert usage["sysCPUStat"]["user"] >= 0
    provenance = unified.croze("history", "inspect", "attachment", "--type=provenance")
    told = json.loads(provenance.stdout)["buildDefinition"]["internalParameters"]["buildConfig"]
    assert [s["resourceUsage"] for s in told["llbDefinition"] if "resourceUsage" in s] == [usage]
    found = unified.croze("build", *base(busybox), *flags, context).stderr
    assert "CACHED" in found
    (step,) = steps(out / "provenance.json")
    assert "resourceUsage" not in step
    less = ["--provenance=mode=max", "--no-cache", *flags[1:]]
    unified.croze("build", *base(busybox), *less, context)
    (step,) = steps(out / "provenance.json")
    assert "resourceUsage" not in step
