"""Targets of one call share what they have in common: it is sent once, and done once.

Counted in this process, which lends the directories, on crozed and, where it is at hand, BuildKit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.client.builds.multinode import BuildNode, NodePart
from croze.client.builds.targets import TargetResult, build_targets
from croze.client.connect import connect
from croze.client.planning.builder import BuilderTraits
from croze.client.planning.options import BuildOptions
from croze.fs.sync.send import Sender
from croze.progress.quiet import QuietDisplay
from croze.session.sending import send_tree
from croze.session.transfer import ReadPackets, WritePackets
from tests.e2e.app import base
from tests.e2e.peers import buildkitd, buildkitd_binary
from tests.e2e.sandbox import Sandbox

TARGETS = 8
SIZE = 300_000


DAEMONS = ["crozed", *(["buildkitd"] if buildkitd_binary() else [])]


@pytest.fixture(scope="module", params=DAEMONS)
def address(
    request: pytest.FixtureRequest, desk: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    if request.param == "crozed":
        yield desk.address
        return
    binary = buildkitd_binary()
    assert binary is not None
    with buildkitd(binary, tmp_path_factory.mktemp("b") / "b") as found:
        yield found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each transfer of a directory that this process has lent; none is lent by
    descriptor."""
    found: list[int] = []

    async def counting(
        sender: Sender,
        read: ReadPackets,
        write: WritePackets,
    ) -> None:
        found.append(0)
        at = len(found) - 1

        async def counted(*packets: bytes) -> None:
            found[at] += sum(map(len, packets))
            await write(*packets)

        await send_tree(sender, read, counted)

    monkeypatch.setattr("croze.session.providers.files.send_tree", counting)
    monkeypatch.setattr("croze.client.connect.has_our_root", lambda _: False)
    return found


async def build(address: str, builds: dict[str, BuildOptions]) -> dict[str, TargetResult]:
    async with connect(address) as client:
        node = BuildNode(client, BuilderTraits())
        parts = {name: [NodePart(node, options)] for name, options in builds.items()}
        return await build_targets(parts, QuietDisplay())


def folder(desk: Sandbox, address: str, name: str, dockerfile: str) -> Path:
    files = {"Dockerfile": dockerfile, "data": "x" * SIZE, "more/data": "y" * SIZE}
    return desk.context(f"{name}{address.count('crozed')}", files)


async def test_a_context_is_sent_once(desk: Sandbox, address: str, sent: list[int]) -> None:
    text = "FROM scratch\nARG N\nCOPY data /\nCOPY --from=more data /$N\n"
    here = folder(desk, address, "once", text)
    builds = {
        f"t{n}": BuildOptions(
            context=str(here),
            build_args={"N": f"n{n}"},
            build_contexts={"more": str(here / "more")},
            outputs=[f"type=local,dest={here}/out/{n}"],
        )
        for n in range(TARGETS)
    }
    await build(address, builds)
    assert (here / "out/7/n7").read_text() == "y" * SIZE
    # the Dockerfile, the ignore files of both contexts, and both contexts
    assert len(sent) <= 5
    assert sum(sent) < 2.5 * SIZE


async def test_directories_of_one_name_that_differ(
    desk: Sandbox, address: str, sent: list[int]
) -> None:
    builds = {}
    for n in range(4):
        here = folder(desk, address, f"differ{n % 2}", "FROM scratch\nCOPY which /\n")
        (here / "which").write_text(f"{n % 2}\n")
        out = f"type=local,dest={here.parent}/out/{n}"
        builds[f"t{n}"] = BuildOptions(context=str(here), outputs=[out])
    await build(address, builds)
    found = {n: (here.parent / f"out/{n}/which").read_text() for n in range(4)}
    assert found == {n: f"{n % 2}\n" for n in range(4)}
    assert len(sent) <= 6


async def test_stages_are_built_once(
    desk: Sandbox, address: str, busybox: Path, sent: list[int]
) -> None:
    count = "--mount=type=cache,target=/c"
    text = f"""
FROM base AS common
COPY data /
RUN {count} echo run >> /c/runs
FROM common AS one
ARG N
RUN echo $N > /n
FROM base AS counted
COPY --from=linked /n /n
RUN {count} cp /c/runs /runs
FROM scratch
COPY --from=counted /runs /runs
"""
    here = folder(desk, address, "stages", text)
    contexts = {"base": base(busybox)[1].removeprefix("base=")}
    builds = {
        f"t{n}": BuildOptions(
            context=str(here),
            build_args={"N": f"n{n}"},
            build_contexts=contexts,
            target="one",
            outputs=["type=cacheonly"],
        )
        for n in range(TARGETS)
    }
    await build(address, builds)
    last = BuildOptions(
        context=str(here),
        build_contexts={**contexts, "linked": "target:t0"},
        outputs=[f"type=local,dest={here}/out"],
    )
    await build(address, {"t0": builds["t0"], "last": last})
    assert (here / "out/runs").read_text() == "run\n"
