"""Croze beside BuildKit, in one run on one machine.

usage: python -m bench [--quick] [--runs N] [--only WORD] [--growth] [--out FOLDER]

Each line is one kind of build; the numbers are medians of N rounds, in which the builders take
turns, so that a noisy machine is noisy for all. Results that should be equal are compared. The
long run ends with how times grow with the size of a build (`bench.growth`), which --growth alone
does, too. With --out the folder gets bench.md, bench.json, bench.svg and growth.svg. The last line
says how much faster `croze` is, as a geometric mean over all lines, and on how many it is behind.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from bench import disk, growth
from bench.growth import Growth, kinds
from bench.lines import Line, lines
from bench.peers import Ask, Peer, opened
from bench.report import Measured, Report
from tests.e2e.sandbox import registry


def measure(line: Line, peers: Sequence[Peer], runs: int, folder: Path) -> Measured:
    """All rounds of all peers."""
    seconds: dict[str, list[float]] = {peer.name: [] for peer in peers}
    places = {peer.name: folder / peer.name for peer in peers}
    for place in places.values():
        place.mkdir(parents=True)
        line.prepare(place)
    for number in range(-1, runs):
        for peer in peers:
            spent = line.measure(peer, places[peer.name], number)
            if spent is None:
                seconds.pop(peer.name, None)
            elif number >= 0:
                seconds[peer.name].append(spent)
    if line.same:
        _compare(line, peers, places[peers[0].name])
    return Measured(line.name, seconds)


def _compare(line: Line, peers: Sequence[Peer], context: Path) -> None:
    """Raises `RuntimeError` if the peers make different things of one context."""
    made = {}
    for peer in peers:
        target = peer.folder / "compared.tar"
        peer.build(context, Ask(output=f"type=tar,dest={target}"))
        made[peer.name] = _entries(target)
        target.unlink()
    first = made[peers[0].name]
    for name, other in made.items():
        if different := sorted({*first} ^ {*other}):
            told = f"{peers[0].name} and {name} have made different things"
            raise RuntimeError(f"{line.name}: {told}: {different[:5]}")


def _entries(archive: Path) -> list[tuple[str, int, str]]:
    """Names, permissions and contents. OCI runtimes differ in the sticky bit of `/dev`."""
    found = []
    with tarfile.open(archive) as tar:
        for member in tar:
            data = tar.extractfile(member)
            digest = hashlib.sha256()
            while data is not None and (part := data.read(1 << 20)):
                digest.update(part)
            found.append((member.name.rstrip("/"), member.mode & 0o777, digest.hexdigest()))
    return sorted(found)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="small sizes, under three minutes")
    options.add_argument("--runs", type=int, default=0, help="rounds (5, or 3 with --quick)")
    options.add_argument("--only", default="", help="only lines with this in their name")
    options.add_argument("--growth", action="store_true", help="only how times grow")
    options.add_argument("--out", type=Path, help="where the report goes")
    args = options.parse_args()
    is_whole = not (args.quick or args.only)
    runs = args.runs or (3 if args.quick else 5)
    with disk.folder() as folder, registry(folder / "registry") as host:
        with opened(folder / "peers") as peers:
            found = []
            measured = [] if args.growth else lines(host, quick=args.quick)
            for number, line in enumerate(measured):
                if args.only in line.name:
                    found.append(measure(line, peers, runs, folder / f"line{number}"))
                    print(found[-1].told(), file=sys.stderr, flush=True)
            growths = []
            for number, kind in enumerate(kinds() if args.growth or is_whole else []):
                print(f"growth of {kind.name}", file=sys.stderr, flush=True)
                growths.append(growth.measure(kind, peers, folder / f"growth{number}"))
                print(growth.markdown(growths[-1:]), file=sys.stderr, flush=True)
            facts = {
                peer.name: {
                    "memory MB": peer.daemon.memory_mb(),
                    "CPU s": peer.daemon.cpu_s(),
                    "ready s": peer.daemon.started_s,
                }
                for peer in peers
            }
        # Before all that was made is removed, which takes minutes.
        _tell(Report(found, facts), growths, args.out)


def _tell(report: Report, growths: Sequence[Growth], out: Path | None) -> None:
    """Print the report, and put it into that folder."""
    grown = "\n" + growth.markdown(growths) if growths else ""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "bench.md").write_text(report.markdown() + grown)
        if growths:
            (out / "growth.svg").write_text(growth.svg(growths))
        (out / "bench.json").write_text(report.json())
        (out / "bench.svg").write_text(report.svg())
    print(report.markdown() + grown)
    print(report.summary(), flush=True)


if __name__ == "__main__":
    main()
