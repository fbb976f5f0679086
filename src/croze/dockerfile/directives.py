"""Parser directives: `# key=value` comments at the very top of a file.

Known keys are `syntax`, `escape` and `check`. The first line that is none of these ends the search.
"""

from __future__ import annotations

from msgspec import Struct, field

from croze.dockerfile import json_form
from croze.dockerfile.location import DockerfileError, Ranges, line_ranges
from croze.gotypes.strings import SPACE
from croze.patterns import lazy_pattern

_KNOWN = ("syntax", "escape", "check")
_BLANK = "\t\n\f\r "
_KEY = lazy_pattern(rf"([a-zA-Z][a-zA-Z0-9]*)[{_BLANK}]*=")
BOM = b"\xef\xbb\xbf"


class Directive(Struct, frozen=True):
    """A parser directive. `value` is all of it; `head` its first word: of `syntax` the frontend
    image, of `check` all that counts."""

    name: str
    value: str
    head: str
    location: Ranges


class DirectiveScanner(Struct):
    """Looks at lines one after the other. `prefix` starts a comment."""

    prefix: str = "#"
    line: int = 0
    done: bool = False
    _seen: set[str] = field(default_factory=set)

    def scan(self, text: str) -> Directive | None:
        """The directive on the next line, or None. Raises `DockerfileError` for a repeated one."""
        self.line += 1
        if self.done:
            return None
        key, value = _key_and_value(text, self.prefix)
        if key not in _KNOWN or not value:
            self.done = True
            return None
        if key in self._seen:
            raise DockerfileError(f"only one {key} parser directive can be used")
        self._seen.add(key)
        return Directive(key, value, value.partition(" ")[0], line_ranges(self.line))


def _key_and_value(text: str, prefix: str) -> tuple[str, str]:
    """Key and value of a directive's line; empty if the line is none of that form. Of blanks alone
    the last is the value."""
    match = text.startswith(prefix) and _KEY.match(text.removeprefix(prefix).lstrip(SPACE))
    if not match:
        return "", ""
    rest = match.string[match.end() :]
    value = rest.strip(_BLANK) or rest[-1:]
    return (match[1].lower(), value) if "\n" not in value else ("", "")


def scan_directives(text: str, *, prefix: str = "#", first_line: int = 0) -> list[Directive]:
    """All directives of a file, up to the first repeated one."""
    scanner = DirectiveScanner(prefix, first_line)
    directives: list[Directive] = []
    start = 0
    while start < len(text) and not scanner.done:
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        try:
            directive = scanner.scan(text[start:end].removesuffix("\r"))
        except DockerfileError:
            break
        if directive is not None:
            directives.append(directive)
        start = end + 1
    return directives


def find_directive(key: str, data: bytes) -> Directive | None:
    """The `# key=value` directive of a Dockerfile. A byte order mark and a `#!` line are skipped;
    lines are still counted as in the file."""
    text, first = _body(data)
    return _find(key, scan_directives(text, first_line=first))


def detect_syntax(data: bytes) -> Directive | None:
    """The frontend that a file of any format asks for: `# syntax=`, `// syntax=`, or a JSON object
    with the key `syntax`."""
    text, first = _body(data)
    for prefix in ("#", "//"):
        syntax = _find("syntax", scan_directives(text, prefix=prefix, first_line=first))
        if syntax is not None:
            return syntax
    return _json_syntax(text, first)


def _find(key: str, directives: list[Directive]) -> Directive | None:
    return next((d for d in directives if d.name == key), None)


def _body(data: bytes) -> tuple[str, int]:
    text = data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    if text.startswith("#!"):
        return text.partition("\n")[2], 1
    return text, 0


def _json_syntax(text: str, line: int) -> Directive | None:
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    value = json_form.load(text)
    syntax = value.get("syntax") if isinstance(value, dict) else None
    if not isinstance(syntax, str):
        return None
    # The whole of it is the image, spaces and all; BuildKit gives the line before the text.
    return Directive("syntax", syntax, syntax, line_ranges(line))
