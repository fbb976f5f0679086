"""`--format`: a table, JSON, or a template, as Docker's tools read it.

`table` alone is a command's own columns; `table {{.A}}\\t{{.B}}` are chosen ones under their
headers; `json` is a line an item, which each command writes; anything else is a template for each
item, on a line of its own.

Source: docker/cli `cli/command/formatter`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from croze.errors import InvalidRequest
from croze.gotypes.tabwriter import align
from croze.gotypes.template import Fields, TemplateError, check, render
from croze.gotypes.template.functions import HEADINGS

TABLE = "table"
_MIN_WIDTH = 10
_PADDING = 3


def is_json(format: str) -> bool:
    """Whether a format is JSON, a line for each item."""
    return format in ("json", "{{json .}}")


def is_table(format: str) -> bool:
    """Whether a format is a table, whose cells may be marked and shortened."""
    return format.startswith(TABLE)


def formatted(
    format: str,
    items: Iterable[Fields],
    headers: Mapping[str, str],
) -> str:
    """The text to print, without the last line's end. `headers` names the columns by field.
    Raises `InvalidRequest` for what is no template."""
    template = format.removeprefix(TABLE).strip(" ")
    template = template.replace("\\t", "\t").replace("\\n", "\n")
    _check(template)
    lines = [_rendered(template, item) for item in items]
    if not is_table(format):
        return "\n".join(lines)
    head = _heading(template, headers)
    return align("\n".join([head, *lines]), min_width=_MIN_WIDTH, padding=_PADDING)


def print_formatted(format: str, items: Sequence[Fields], headers: Mapping[str, str]) -> None:
    """Print items as `formatted` has them; not even an empty line if there are none."""
    text = formatted(format, items, headers)
    if items or is_table(format):
        print(text)


def _check(template: str) -> None:
    """Refuse what is no template, of no items, too."""
    try:
        check(template)
    except TemplateError as error:
        raise _refused(error) from None


def _heading(template: str, headers: Mapping[str, str]) -> str:
    """Nothing for a template that asks of headings what they are not."""
    try:
        return render(template, headers, HEADINGS)
    except TemplateError:
        return ""


def _rendered(template: str, item: Fields) -> str:
    try:
        return render(template, item)
    except TemplateError as error:
        raise _refused(error) from None


def _refused(error: TemplateError) -> InvalidRequest:
    return InvalidRequest(f"template parsing error: {error}")
