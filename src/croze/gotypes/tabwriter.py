"""Columns as Go's `text/tabwriter` aligns them.

A column is as wide as its widest cell among neighbouring lines that have it; what follows the last
tab of a line is no cell and counts for none. Source: Go `text/tabwriter`.
"""

from __future__ import annotations


def align(
    text: str, *, min_width: int = 0, tab_width: int = 8, padding: int = 1, pad: str = " "
) -> str:
    """Align the columns of a text, whose cells are ended by tabs. With `pad` a tab, columns are
    multiples of `tab_width` and filled with tabs."""
    lines = [line.split("\t") for line in text.split("\n")]
    _Columns(lines, min_width, tab_width, padding, pad).align(0, len(lines), 0)
    return "\n".join("".join(line) for line in lines)


def align_by_tabs(text: str) -> str:
    """Align the columns as Docker's commands do that list sizes and records: by tabs."""
    return align(text, min_width=1, pad="\t")


class _Columns:
    def __init__(
        self, lines: list[list[str]], min_width: int, tab_width: int, padding: int, pad: str
    ) -> None:
        self._lines = lines
        self._min_width = min_width
        self._tab_width = tab_width
        self._padding = padding
        self._pad = pad

    def align(self, start: int, end: int, column: int) -> None:
        """The blocks of a column among some lines, and in each the columns behind it."""
        at = start
        while at < end:
            if len(self._lines[at]) - 1 <= column:
                at += 1
                continue
            block = at
            while at < end and len(self._lines[at]) - 1 > column:
                at += 1
            self._fill(self._lines[block:at], column)
            self.align(block, at, column + 1)

    def _fill(self, lines: list[list[str]], column: int) -> None:
        width = max(len(line[column]) for line in lines) + self._padding
        width = max(width, self._min_width)
        for line in lines:
            line[column] = self._filled(line[column], width)

    def _filled(self, cell: str, width: int) -> str:
        if self._pad != "\t":
            return cell.ljust(width, self._pad)
        stop = -(-width // self._tab_width) * self._tab_width
        return cell + "\t" * -(-(stop - len(cell)) // self._tab_width)
