"""The bench's report."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from subprocess import Popen
from typing import cast

import pytest

from bench import disk, growth
from bench.daemons import Daemon
from bench.growth import Growth, Kind
from bench.lines import Measure
from bench.peers import Croze, Peer
from bench.report import Measured, Report

LINES = [
    Measured("cold", {"croze": [1.0, 2.0, 9.0], "buildkit": [8.0, 8.0, 8.0]}),
    Measured("no-op <&>", {"croze": [2.0], "buildkit": [1.0]}),
]
FACTS = {"croze": {"memory MB": 100.0}, "buildkit": {"memory MB": 50.0}}


def test_the_mean_is_geometric_and_of_medians() -> None:
    report = Report(LINES, FACTS)
    assert report.ratios("croze") == [4.0, 0.5]
    assert report.summary() == "geometric mean 1.4×, behind on 1 lines"


def test_markdown_has_a_row_for_each_line() -> None:
    rows = Report(LINES, FACTS).markdown().splitlines()
    assert rows[0] == "| work | croze ms | buildkit ms | croze × |"
    assert rows[2] == "| cold | 2,000 | 8,000 | 4.00 |"
    assert rows[3] == "| no-op <&> | 2,000 | 1,000 | **0.50** |"


def test_json_has_every_round() -> None:
    value = json.loads(Report(LINES, FACTS).json())
    assert value["lines"][0]["seconds"]["croze"] == [1.0, 2.0, 9.0]
    assert value["peers"] == FACTS


def test_the_chart_is_well_formed() -> None:
    root = ElementTree.fromstring(Report(LINES, FACTS).svg())
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert texts == ["cold", "4.0× croze", "no-op <&>", "0.5× croze"]


def test_without_buildkit_there_is_nothing_to_compare_with() -> None:
    report = Report([Measured("cold", {"croze": [1.0]})], {})
    assert report.summary() == "croze: no buildkitd to compare with"
    assert "| cold | 1,000 | – |" in report.markdown()


def test_who_cannot_do_a_line_has_none() -> None:
    report = Report([*LINES, Measured("graph", {"buildkit": [1.0]})], FACTS)
    assert "| graph | – | 1,000 | – |" in report.markdown()
    assert report.ratios("croze") == [4.0, 0.5]


GROWTH = Growth(
    "files <&>",
    (1_000, 10_000, 100_000),
    {"croze": [0.9, 1.0, 10.0], "buildkit": [1.0, 1.0, 100.0]},
    {"croze": [0.1, 0.2, 20.0], "buildkit": [0.1, 0.1, 1.0]},
)


def test_exponents_are_of_what_is_large() -> None:
    assert GROWTH.exponent("croze") == pytest.approx(1)
    assert GROWTH.exponent("buildkit") == pytest.approx(2)
    rows = growth.markdown([GROWTH]).splitlines()
    sizes = "1,000 / 10,000 / 100,000"
    times = "900 / 1,000 / 10,000 | 1.00 | 100 / 200 / 20,000 | **2.00**"
    assert rows[2] == f"| files <&> | croze | {sizes} | {times} |"
    assert rows[3].endswith("| **2.00** | 100 / 100 / 1,000 | 1.00 |")


def test_sizes_and_peers_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever slows the machine for a while, slows each size of each peer."""
    monkeypatch.setattr(growth, "_settled", lambda daemon: 0.0)
    spent = {1: iter((9.0, 1.0, 9.0, 2.0, 9.0, 6.0)), 10: iter((9.0, 30.0, 9.0, 10.0, 9.0, 20.0))}
    order: list[tuple[str, int, int]] = []

    def measured(size: int) -> Measure:
        def measure(peer: Peer, _: Path, number: int) -> float | None:
            order.append((peer.name, size, number))
            return next(spent[size]) if peer.name == "croze" else None

        return measure

    kind = Kind("builds", (1, 10), lambda _: lambda _: None, measured)
    found = growth.measure(kind, [_peer("croze"), _peer("stock")], tmp_path)
    assert found.seconds == {"croze": [2.0, 20.0]}
    assert order[::2] == order[1::2]
    assert order[:6:2] == [("croze", 1, 0), ("stock", 1, 0), ("croze", 10, 0)]
    assert order[6::2] == [("croze", size, number) for number in (1, 2) for size in (1, 10)]


def _peer(name: str) -> Peer:
    class Idle(Daemon):
        def cpu_s(self) -> float:
            return 1.0

    daemon = Idle("unix:///none", cast(Popen[bytes], None), 0.0)
    return Peer(name, Croze("croze"), daemon, Path(name), {})


def test_growth_is_drawn_on_logarithmic_axes() -> None:
    root = ElementTree.fromstring(growth.svg([GROWTH, GROWTH]))
    lines = [e.attrib["points"] for e in root.iter() if e.tag.endswith("polyline")]
    across = [point.split(",")[0] for point in lines[0].split()]
    assert across == ["40", "150", "260"]
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], False),
        (["proc/fs/ext4/sda1", "proc/fs/jbd2/sda1-8"], False),
        (["proc/fs/ext4/sda1", "proc/fs/jbd2/sdb-8"], True),
    ],
)
def test_an_ext4_without_a_journal_is_told(there: list[str], found: bool, tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    link = tmp_path / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    for path in ("sys/dev/block", "sys/devices/sda1", *there):
        (tmp_path / path).mkdir(parents=True)
    link.symlink_to("../../devices/sda1")
    assert disk.has_no_journal(tmp_path, tmp_path) is found
