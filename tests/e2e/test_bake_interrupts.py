"""`croze bake` ends early: it is interrupted, or a target fails. All targets end with it."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox
from tests.support.processes import NAP_S, sleepers
from tests.support.waiting import PATIENCE_S, eventually

STEPS = """
group "default" {{ targets = ["one", "two"] }}
target "_base" {{ contexts = {{ base = "{base}" }} }}
target "one" {{
  inherits = ["_base"]
  dockerfile-inline = "FROM base\\nRUN echo this is one; sleep {s}\\n"
  output = ["type=local,dest=out/one"]
}}
target "two" {{
  inherits = ["_base"]
  dockerfile-inline = "FROM base\\nRUN echo this is two; sleep {s}\\n"
  output = ["type=local,dest=out/two"]
}}
target "on-two" {{
  contexts = {{ base = "target:two" }}
  dockerfile-inline = "FROM base\\nRUN true\\n"
}}
target "bad" {{
  inherits = ["_base"]
  dockerfile-inline = "FROM base\\nRUN echo this is bad; exit 7\\n"
}}
"""
CANCELED = "failed to solve: Canceled: context canceled\n"


@pytest.fixture
def project(desk: Sandbox, busybox: Path) -> Path:
    image = base(busybox)[1].removeprefix("base=")
    return desk.context("steps", {"docker-bake.hcl": STEPS.format(base=image, s=NAP_S)})


def interrupted(
    desk: Sandbox, project: Path, number: int, *targets: str, again: bool = False
) -> tuple[int, str]:
    """Once as many steps as targets have begun, and `again` while it leaves; the exit code and all
    that was said. As raw JSON: plain progress keeps to one step for five seconds."""
    command = [str(CROZE), "bake", "--progress=rawjson", *targets]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=desk.env, cwd=project) as baking:
        assert baking.stderr is not None
        said, begun = b"", 0
        while begun < (len(targets) or 2):
            line = baking.stderr.readline()
            assert line, said.decode()
            said += line
            logs = json.loads(line).get("logs", ())
            begun += sum(base64.b64decode(log["data"]).startswith(b"this is ") for log in logs)
        baking.send_signal(number)
        said += baking.stderr.readline()
        if again:
            baking.send_signal(number)
        said += baking.stderr.read()
        return baking.wait(PATIENCE_S), said.decode()


@pytest.mark.parametrize(
    ("number", "again"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)],
    ids=["ctrl-c", "sigterm", "ctrl-c twice"],
)
def test_an_interrupted_bake_says_so_once_and_leaves_nothing(
    desk: Sandbox, project: Path, number: int, again: bool
) -> None:
    code, said = interrupted(desk, project, number, again=again)
    assert code == 130
    assert said.endswith(f"ERROR: target one: {CANCELED}")
    assert not (project / "out").exists()
    eventually(lambda: not sleepers())  # the daemon may still be at it


def test_interrupted_with_one_target(desk: Sandbox, project: Path) -> None:
    code, said = interrupted(desk, project, signal.SIGINT, "one")
    assert (code, said.splitlines()[-1]) == (130, f"ERROR: {CANCELED.strip()}")


def test_interrupted_while_others_wait_for_their_base(desk: Sandbox, project: Path) -> None:
    code, said = interrupted(desk, project, signal.SIGINT, "on-two")
    assert code == 130
    assert said.endswith(f"ERROR: target on-two: {CANCELED}")


def test_a_failing_target_ends_the_rest(desk: Sandbox, project: Path) -> None:
    done = desk.croze("bake", "one", "bad", "two", cwd=project, check=False)
    assert done.code == 1
    assert "ERROR: target bad: failed to solve: process " in done.stderr
    assert done.stderr.endswith("did not complete successfully: exit code: 7\n")
    assert not (project / "out").exists()
    eventually(lambda: not sleepers())  # the daemon may still be at it
