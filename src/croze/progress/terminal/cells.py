"""How many columns of a terminal a text takes, and texts cut to fit.

Most texts are ASCII, a column each; for others `wcwidth` knows Unicode's tables, and is imported
only then.
"""

from __future__ import annotations

ELLIPSIS = "…"


def width(text: str) -> int:
    """Columns of a text without control characters."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def cut(text: str, columns: int, ellipsis: str = ELLIPSIS) -> str:
    """The text if it fits, or else its beginning and an ellipsis."""
    if width(text) <= columns:
        return text
    room = columns - width(ellipsis)
    if room < 0:
        return ""
    return _beginning(text, room) + ellipsis


def _beginning(text: str, columns: int) -> str:
    """As many whole characters, combining marks with them, as fit."""
    if text.isascii():
        return text[:columns]
    from wcwidth import iter_graphemes

    clusters, used = [], 0
    for cluster in iter_graphemes(text):
        used += width(cluster)
        if used > columns:
            break
        clusters.append(cluster)
    return "".join(clusters)


def spread(left: str, right: str, columns: int, ellipsis: str = ELLIPSIS) -> str:
    """`left` and `right` at the ends of a line; what is too long of `left` is cut. Without `right`,
    or room for it, `left` alone."""
    room = columns - width(right) - 1
    if not right or room < 8:
        return cut(left, columns, ellipsis)
    left = cut(left, room, ellipsis)
    return f"{left}{' ' * (room - width(left))} {right}"


def printable(text: str) -> str:
    """One line that moves no cursor. What controls the terminal shows as `?`; what only joins or
    turns characters is left out: terminals differ in how wide the joined ones are."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _shown(c) for c in text)


def _shown(character: str) -> str:
    import unicodedata

    if character.isspace():
        return " "
    return "" if unicodedata.category(character) == "Cf" else "?"
