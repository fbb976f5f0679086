"""Where an error arose travels with it, as from BuildKit."""

from __future__ import annotations

import json
import os

import pytest

from croze.cli.common import Common
from croze.cli.guard import failed
from croze.errors import AlreadyExists, CrozeError, NotFound, VertexDetail
from croze.rpc.stacks import stack_lines, stacks
from croze.rpc.status import from_status, to_status


def missing() -> None:
    raise NotFound("no such thing", VertexDetail("sha256:1"))


def wrapped() -> None:
    try:
        missing()
    except NotFound as error:
        raise error.wrap("looked for it") from None


def error() -> CrozeError:
    try:
        wrapped()
    except CrozeError as raised:
        return raised
    raise AssertionError


def test_the_places_of_an_error_and_of_what_it_was_made_of() -> None:
    (stack,) = stacks(error())
    names = [frame.name.removeprefix(f"{__name__}.") for frame in stack.frames]
    assert names == ["missing", "wrapped", "wrapped", "error"]
    assert (stack.pid, stack.frames[0].file) == (os.getpid(), "tests/rpc/test_stacks.py")
    lines = list(stack_lines(stack))
    assert lines[0].startswith(f"{os.getpid()} v")
    line = stack.frames[0].line
    assert lines[1] == f"{__name__}.missing\n\ttests/rpc/test_stacks.py:{line}"


def test_where_on_this_machine_modules_are_is_told_nobody() -> None:
    try:
        json.loads("{")
    except ValueError as raised:
        (stack,) = stacks(raised)
    files = {frame.name: frame.file for frame in stack.frames}
    assert files["json.decoder.JSONDecoder.decode"] == "json/decoder.py"
    assert files["json.loads"] == "json/__init__.py", "a package"


def test_another_error_on_the_way_has_its_own() -> None:
    try:
        try:
            missing()
        except NotFound:
            raise ValueError from None
    except ValueError as raised:
        first, second = stacks(raised)
    assert first.frames[0].name == f"{__name__}.missing"
    assert second.frames[0].name == f"{__name__}.test_another_error_on_the_way_has_its_own"


def test_an_error_that_was_never_raised_has_none() -> None:
    assert list(stacks(NotFound("x"))) == []


@pytest.mark.parametrize(
    ("called", "told"),
    [
        (["/usr/bin/crozed", "--root", "/x"], ("crozed", "--root", "/x")),
        (["/usr/bin/croze", "build", "--build-arg", "TOKEN=hush"], ("croze",)),
    ],
)
def test_what_a_client_is_called_with_is_its_own(
    monkeypatch: pytest.MonkeyPatch, called: list[str], told: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.argv", called)
    (stack,) = stacks(error())
    assert stack.command == told


def test_what_is_there_already_is_no_failure() -> None:
    def there() -> None:
        raise AlreadyExists("x")

    with pytest.raises(AlreadyExists) as caught:
        there()
    assert list(stacks(caught.value)) == []


def test_they_travel_as_buildkit_s() -> None:
    sent = to_status(error())
    (_vertex, *others) = sent.details
    assert {other.type_url for other in others} == {"github.com/moby/buildkit/stack.Stack+json"}
    frame = json.loads(others[0].value)["frames"][0]
    assert frame["Name"] == f"{__name__}.missing"
    assert sorted(frame) == ["File", "Line", "Name"]
    assert from_status(sent).details == (VertexDetail("sha256:1"), *stacks(error()))


def test_who_debugs_sees_them(capsys: pytest.CaptureFixture[str]) -> None:
    failed(from_status(to_status(error())), Common(debug=False))
    assert "test_stacks.missing" not in capsys.readouterr().err
    failed(from_status(to_status(error())), Common(debug=True))
    assert f"{__name__}.missing\n\ttests/rpc/test_stacks.py:" in capsys.readouterr().err
