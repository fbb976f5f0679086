"""How the time grows with the size of a build: files, vertices, layers, builds at once.

For each kind and peer an exponent is fitted, `time = c · size^e`, to the sizes from which on the
work is more than what every build has; 1 means in proportion. It is fitted to what the clock says,
and to the processor time of the daemon, which a busy machine changes less; to the median of some
rounds, in each of which all sizes have their turn.
"""

from __future__ import annotations

import functools
import html
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import contexts
from bench.daemons import Daemon
from bench.lines import Measure, Prepare, again, at_once, cold, graph
from bench.peers import Peer

LIMIT = 1.1
"""Of an exponent: what is above grows faster than the build does."""
_COLORS = {"croze": "#2b6cb0", "stock": "#63b3ed", "buildkit": "#888"}
_SIZE, _MARGIN = 220, 40
_ROUNDS = 3
_TICK_S = 0.01
"""What the kernel counts processor time in."""
_SETTLE_S = 60


@dataclass(frozen=True)
class Kind:
    """What grows. `measure` makes the measurement of a size."""

    name: str
    sizes: Sequence[int]
    prepare: Callable[[int], Prepare]
    measure: Callable[[int], Measure]
    is_cold: bool = False
    """What was built before, of another size perhaps, is taken away first; else it is built once
    first, since what the last size has left is not what a build of this one finds. Neither
    counts."""


@dataclass(frozen=True)
class Growth:
    """Seconds by peer, one for each size: by the clock, and of the daemon's processor time."""

    name: str
    sizes: Sequence[int]
    seconds: Mapping[str, Sequence[float]]
    cpu_s: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def exponent(self, peer: str) -> float:
        """Of the time by the clock; see `_slope`."""
        return self._slope(self.seconds[peer])

    def cpu_exponent(self, peer: str) -> float:
        """Of the daemon's processor time."""
        return self._slope(self.cpu_s[peer])

    def _slope(self, seconds: Sequence[float]) -> float:
        """Of the line through the points on a logarithmic plot, from the middle size on where
        there are three or more: the smallest is mostly what every build costs."""
        points = list(zip(self.sizes, seconds, strict=True))
        points = points[1:] if len(points) > 2 else points
        x, y = ([math.log(point[i]) for point in points] for i in (0, 1))
        return statistics.linear_regression(x, y).slope


def kinds() -> list[Kind]:
    return [
        Kind("files: cold", (1_000, 10_000, 100_000), _files, _always(cold), is_cold=True),
        Kind("files: no-op", (1_000, 10_000, 100_000), _files, _always(again)),
        Kind(
            "vertices: cold",
            (1_000, 3_000, 10_000),
            _vertices,
            _always(graph(is_cold=True)),
            is_cold=True,
        ),
        Kind("vertices: cached", (1_000, 3_000, 10_000), _vertices, _always(graph(is_cold=False))),
        Kind("layers: cold", (10, 40, 120), _layers, _always(cold), is_cold=True),
        Kind("builds at once: no-op", (1, 10, 100), _five_stages, _builds),
    ]


def _files(count: int) -> Prepare:
    return functools.partial(contexts.small_files, count=count)


def _vertices(count: int) -> Prepare:
    return functools.partial(contexts.graph, vertices=count)


def _layers(count: int) -> Prepare:
    return functools.partial(contexts.runs, count=count)


def _five_stages(_: int) -> Prepare:
    return contexts.five_stages


def _builds(count: int) -> Measure:
    return at_once(count, is_cold=False)


def _always(measured: Measure) -> Callable[[int], Measure]:
    return lambda _: measured


def measure(kind: Kind, peers: Sequence[Peer], folder: Path) -> Growth:
    """All sizes of all peers that can do it. Sizes take turns as peers do: of a machine that is
    slower for a while, all are."""
    places = {
        (peer.name, size): folder / f"{peer.name}-{size}" for peer in peers for size in kind.sizes
    }
    for (_, size), place in places.items():
        place.mkdir(parents=True)
        kind.prepare(size)(place)
    rounds: dict[tuple[str, int], list[tuple[float, float]]] = {each: [] for each in places}
    able = list(peers)
    for number in range(-1 if kind.is_cold else 0, _ROUNDS):
        for size in kind.sizes:
            for peer in list(able):
                at = peer.name, size
                if kind.is_cold:
                    peer.forget()
                else:
                    kind.measure(size)(peer, places[at], number)
                spent = _round(kind.measure(size), peer, places[at], number)
                if spent is None:
                    able.remove(peer)
                elif number >= 0:
                    rounds[at].append(spent)
    seconds, cpu_s = (
        {
            peer.name: [statistics.median(r[i] for r in rounds[peer.name, n]) for n in kind.sizes]
            for peer in able
        }
        for i in (0, 1)
    )
    return Growth(kind.name, kind.sizes, seconds, cpu_s)


def _round(measured: Measure, peer: Peer, place: Path, number: int) -> tuple[float, float] | None:
    """Seconds by the clock and of the daemon's processor time; None if the client can't do it."""
    before_s = _settled(peer.daemon)
    spent = measured(peer, place, number)
    if spent is None:
        return None
    return spent, max(peer.daemon.cpu_s() - before_s, _TICK_S)


def _settled(daemon: Daemon) -> float:
    """Its processor time once it has done what it does after a build, such as to measure what that
    has left on the disk."""
    deadline = time.monotonic() + _SETTLE_S
    now_s, before_s = daemon.cpu_s(), float("-inf")
    while now_s - before_s > 2 * _TICK_S and time.monotonic() < deadline:
        time.sleep(1)
        before_s, now_s = now_s, daemon.cpu_s()
    return now_s


def markdown(found: Sequence[Growth]) -> str:
    """A row for each kind and peer; what grows faster than the build does is bold."""
    rows = [
        "| growth | peer | sizes | ms | exponent | daemon's CPU ms | exponent |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in found:
        for peer, seconds in each.seconds.items():
            sizes = " / ".join(f"{size:,}" for size in each.sizes)
            told = [_told(seconds, each.exponent(peer))]
            if peer in each.cpu_s:
                told.append(_told(each.cpu_s[peer], each.cpu_exponent(peer)))
            rows.append(f"| {each.name} | {peer} | {sizes} | {' | '.join(told)} |")
    return "\n".join(rows) + "\n"


def _told(seconds: Sequence[float], slope: float) -> str:
    times = " / ".join(f"{1000 * value:,.0f}" for value in seconds)
    return f"{times} | **{slope:.2f}**" if slope > LIMIT else f"{times} | {slope:.2f}"


def svg(found: Sequence[Growth]) -> str:
    """One plot for each kind, both axes logarithmic."""
    step = _SIZE + 2 * _MARGIN
    plots = "".join(
        f'<g transform="translate({number % 3 * step} {number // 3 * step})">{_plot(each)}</g>'
        for number, each in enumerate(found)
    )
    size = f'width="{min(3, len(found)) * step}" height="{math.ceil(len(found) / 3) * step}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{plots}</svg>\n'


def _plot(found: Growth) -> str:
    times = [value for seconds in found.seconds.values() for value in seconds]
    across = _scale(found.sizes, _MARGIN, _MARGIN + _SIZE)
    up = _scale(times, _MARGIN + _SIZE, _MARGIN)
    frame = f'x="{_MARGIN}" y="{_MARGIN}" width="{_SIZE}" height="{_SIZE}"'
    parts = [f'<rect {frame} fill="none" stroke="#ccc"/>', _text(_MARGIN, 24, found.name)]
    parts += [_text(across(size), _MARGIN + _SIZE + 14, f"{size:,}") for size in found.sizes]
    parts += [_text(2, up(value), f"{value:.2g} s") for value in (min(times), max(times))]
    for number, (peer, seconds) in enumerate(found.seconds.items()):
        color = _COLORS.get(peer, "#000")
        points = zip(found.sizes, seconds, strict=True)
        line = " ".join(f"{across(size):.0f},{up(value):.0f}" for size, value in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        told = f"{peer}: {found.exponent(peer):.2f}"
        parts.append(_text(_MARGIN + 6, _MARGIN + 16 + 14 * number, told, color))
    return "".join(parts)


def _scale(values: Sequence[float], start: int, end: int) -> Callable[[float], float]:
    low, high = math.log(min(values)), math.log(max(values))
    return lambda value: start + (end - start) * (math.log(value) - low) / ((high - low) or 1)


def _text(x: float, y: float, text: str, color: str = "#444") -> str:
    font = 'font-family="sans-serif" font-size="11"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {font} fill="{color}">{html.escape(text)}</text>'
