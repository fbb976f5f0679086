"""What was measured, as Markdown, JSON and a chart."""

from __future__ import annotations

import html
import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BASE = "buildkit"
_ROW, _LEFT, _WIDTH = 18, 300, 420


@dataclass(frozen=True)
class Measured:
    """Seconds of all rounds, by peer."""

    name: str
    seconds: Mapping[str, Sequence[float]]

    def median(self, peer: str) -> float:
        return statistics.median(self.seconds[peer])

    def ratio(self, peer: str) -> float | None:
        """How many times faster than BuildKit; None without one."""
        if BASE not in self.seconds or peer not in self.seconds:
            return None
        return self.median(BASE) / self.median(peer)

    def told(self) -> str:
        """A line for whoever waits for the rest."""
        medians = (f"{peer} {self.median(peer) * 1000:,.0f} ms" for peer in self.seconds)
        return f"{self.name}: {', '.join(medians)}"


@dataclass(frozen=True)
class Report:
    lines: Sequence[Measured]
    facts: Mapping[str, Mapping[str, float]]
    """Of each peer: memory in MB, CPU seconds, seconds until its daemon answered."""

    def peers(self) -> list[str]:
        return list(dict.fromkeys(peer for line in self.lines for peer in line.seconds))

    def ratios(self, peer: str) -> list[float]:
        found = (line.ratio(peer) for line in self.lines)
        return [ratio for ratio in found if ratio is not None]

    def summary(self, peer: str = "croze") -> str:
        """The last line of a run."""
        ratios = self.ratios(peer)
        if not ratios:
            return f"{peer}: no buildkitd to compare with"
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        behind = sum(ratio < 1 for ratio in ratios)
        return f"geometric mean {mean:.1f}×, behind on {behind} lines"

    def markdown(self) -> str:
        peers = self.peers()
        ours = [peer for peer in peers if peer != BASE]
        head = ["work", *(f"{peer} ms" for peer in peers), *(f"{peer} ×" for peer in ours)]
        rows = [head, ["---"] * len(head)]
        for line in self.lines:
            medians = [
                f"{line.median(peer) * 1000:,.0f}" if peer in line.seconds else "–"
                for peer in peers
            ]
            rows.append([line.name, *medians, *(_ratio(line.ratio(peer)) for peer in ours)])
        told = ["| " + " | ".join(row) + " |" for row in rows]
        told += ["", *(f"{peer}: {self.summary(peer)}" for peer in ours)]
        told += [
            f"{peer}: " + ", ".join(f"{name} {value:.4g}" for name, value in facts.items())
            for peer, facts in self.facts.items()
        ]
        return "\n".join(told) + "\n"

    def json(self) -> str:
        value = {
            "machine": {"processors": os.cpu_count(), "kernel": platform.release()},
            "lines": [{"name": line.name, "seconds": line.seconds} for line in self.lines],
            "peers": self.facts,
        }
        return json.dumps(value, indent=2)

    def svg(self) -> str:
        """A bar for each line and peer, on a logarithmic scale; the line in the middle is
        BuildKit."""
        ours = [peer for peer in self.peers() if peer != BASE]
        largest = max((abs(math.log2(r)) for p in ours for r in self.ratios(p)), default=1) or 1
        height = _ROW * (len(self.lines) * len(ours) + 2)
        middle = _LEFT + _WIDTH / 2
        body = [f'<line x1="{middle}" x2="{middle}" y1="0" y2="{height}" stroke="#888"/>']
        top = _ROW
        for line in self.lines:
            body.append(_text(_LEFT - 8, top + 12, line.name, "end"))
            for peer, color in zip(ours, ("#2b6cb0", "#63b3ed"), strict=False):
                ratio = line.ratio(peer)
                if ratio is not None:
                    length = math.log2(ratio) / largest * (_WIDTH / 2 - 40)
                    start_x = middle + min(length, 0)
                    shape = f'x="{start_x:.1f}" y="{top}" width="{abs(length):.1f}" height="14"'
                    body.append(f'<rect {shape} fill="{color if ratio >= 1 else "#c53030"}"/>')
                    anchor = "start" if length >= 0 else "end"
                    at = middle + length + (4 if length >= 0 else -4)
                    body.append(_text(at, top + 12, f"{ratio:.1f}× {peer}", anchor))
                top += _ROW
        size = f'width="{_LEFT + _WIDTH}" height="{height}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff" {size}>'
            + "".join(body)
            + "</svg>\n"
        )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    font = 'font-family="sans-serif" font-size="12"'
    return f'<text x="{x:.1f}" y="{y}" {font} text-anchor="{anchor}">{html.escape(text)}</text>'


def _ratio(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value >= 1 else f"**{value:.2f}**"
