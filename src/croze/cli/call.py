"""`--call` and `--check`: what a subrequest answers, printed as buildx prints it.

Source of grammar, texts and exit codes: buildx `util/buildflags/callfunc.go` and
`commands/build.go` (printResult); of findings: BuildKit `frontend/subrequests/lint`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from croze.errors import CrozeError, InvalidRequest, Position, Range, SourceDetail
from croze.files.settings import parse_json
from croze.gotypes.booleans import checked_bool
from croze.gotypes.csv_line import fields
from croze.progress.errors import excerpt


class CallMode(Struct, frozen=True):
    """What `--call` says: a subrequest, and how to show its answer; no name stands for a build."""

    name: str = ""
    json: bool = False
    ignore_status: bool = False


def parse_call(text: str) -> CallMode:
    """Read `check,format=json,ignorestatus=true`. Raises `InvalidRequest`."""
    name, form, ignore = "", "", False
    for field in fields(text) if text else []:
        key, equals, value = field.partition("=")
        if not equals:
            if name:
                raise InvalidRequest(f"invalid print value: {text}")
            name = field
        elif key == "format":
            form = value
        elif key == "ignorestatus":
            ignore = checked_bool(value, f"invalid ignorestatus print value: {value}")
        else:
            raise InvalidRequest(f"invalid print field: {field}")
    if name == "build":
        return CallMode()
    return CallMode("lint" if name == "check" else name, form == "json", ignore)


def answer(call: CallMode, response: Mapping[str, str], *, shown_file: str = "") -> tuple[str, int]:
    """What to print, and the exit code. `shown_file`: the Dockerfile as the user named it. Raises
    `CrozeError` for a Dockerfile that can't be built (lint)."""
    status = response.get("result.statuscode", "0")
    is_code = status.isascii() and status.isdecimal() and len(status) <= 3
    code = int(status) if is_code and not call.ignore_status else 0
    if call.json and "result.json" in response:
        text = response["result.json"] + "\n"
        if call.name == "lint":
            with _of_frontends():
                _raise_build_error(parse_json(text), shown_file, before=text)
        return text, code
    if call.name == "lint" and "result.json" in response:
        with _of_frontends():
            return _lint(parse_json(response["result.json"]), shown_file), code
    if "result.txt" not in response and "result.json" in response:
        return response["result.json"] + "\n", code
    return response.get("result.txt", ""), code


@contextmanager
def _of_frontends() -> Iterator[None]:
    """Around reading what a frontend has answered. Raises `CrozeError` for what is no such
    answer."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CrozeError(f"failed to parse the findings of the frontend: {reason}") from None


class Findings(CrozeError):
    """A check that ended with an error; `text` is to be printed before it."""

    def __init__(self, message: str, text: str) -> None:
        super().__init__(message)
        self.text = text


def _lint(report: dict[str, Any], shown_file: str) -> str:
    warnings = report.get("warnings") or []
    parts = []
    if len(warnings) == 1:
        parts.append("Check complete, 1 warning has been found!\n")
    elif warnings:
        parts.append(f"Check complete, {len(warnings)} warnings have been found!\n")
    for warning in sorted(warnings, key=_order):
        url = f" - {warning['url']}" if warning.get("url") else ""
        detail = warning.get("detail", "")
        parts.append(f"\nWARNING: {warning['ruleName']}{url}\n{detail}\n")
        parts.append(_excerpt(report, warning.get("location") or {}, shown_file))
    _raise_build_error(report, shown_file, before="".join(parts) + ("\n" if warnings else ""))
    if not warnings:
        parts.append("Check complete, no warnings found.\n")
    return "".join(parts)


def _order(warning: dict[str, Any]) -> tuple[int, str]:
    ranges = (warning.get("location") or {}).get("ranges") or []
    return (_line(ranges[0].get("start")), "") if ranges else (-1, warning["ruleName"])


def _line(position: dict[str, int] | None) -> int:
    return (position or {}).get("line", 0)


def _raise_build_error(report: dict[str, Any], shown_file: str, *, before: str) -> None:
    error = report.get("buildError")
    if error:
        place = _excerpt(report, error.get("location") or {}, shown_file)
        raise Findings(f"{error.get('message', '')}\n{place}", before)


def _excerpt(report: dict[str, Any], location: dict[str, Any], shown_file: str) -> str:
    sources = report.get("sources") or []
    index = location.get("sourceIndex", 0)
    if not 0 <= index < len(sources):
        return ""
    source = sources[index]
    name = shown_file or source.get("filename", "")
    data = base64.b64decode(source.get("data", ""))
    return excerpt(SourceDetail(name, data, tuple(_ranges(location))))


def _ranges(location: dict[str, Any]) -> Iterator[Range]:
    for item in location.get("ranges") or []:
        start, end = item.get("start") or {}, item.get("end") or {}
        yield Range(
            Position(start.get("line", 0), start.get("character", 0)),
            Position(end.get("line", 0), end.get("character", 0)),
        )
