"""What came of tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

from msgspec import Struct, field

from croze.gotypes import gojson


class TestResult(Struct, frozen=True):
    __test__ = False

    name: str
    passed: bool
    allow: bool | None = None
    deny_messages: tuple[str, ...] = ()
    input: dict[str, object] | None = None
    decision: dict[str, object] | None = None
    missing: tuple[str, ...] = ()
    """What the policy's rules look at and the input doesn't have."""
    metadata: tuple[str, ...] = ()
    """Kinds of sources that would have to be asked for that."""

    def lines(self) -> Iterator[str]:
        """The test's outcome as `policy test` prints it."""
        allow = "n/a" if self.allow is None else json.dumps(self.allow)
        reasons = f", deny_msg={'; '.join(self.deny_messages)}" if self.deny_messages else ""
        yield f"{self.name}: {'PASS' if self.passed else 'FAIL'} (allow={allow}{reasons})"
        if self.passed:
            return
        for label, plain in (("input", self.input), ("decision", self.decision)):
            if plain is None:
                yield f"{label}: <nil>"
            else:
                yield f"{label}:\n{gojson.marshal_indent_as_is(plain).decode()}"
        if self.missing:
            yield f"missing_input: {', '.join(f'input.{name}' for name in self.missing)}"
        if self.metadata:
            yield f"metadata_resolve: {', '.join(self.metadata)}"


class TestReport(Struct, frozen=True):
    __test__ = False

    results: tuple[TestResult, ...] = field(default_factory=tuple)

    @property
    def failed(self) -> bool:
        return any(not each.passed for each in self.results)
