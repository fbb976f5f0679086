"""What is told of a command line before anything is asked of a builder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from croze.client.plan import ToFile
from croze.client.planning.checks import check_texts
from croze.client.planning.make import make_plan
from croze.client.planning.options import BuildOptions
from croze.errors import InvalidRequest
from croze.session.providers.targets import FileOutput


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (BuildOptions(build_args=["=x"]), 'invalid key-value pair "=x": empty key'),
        (BuildOptions(labels=["=x"]), 'invalid key-value pair "=x": empty key'),
        (BuildOptions(build_contexts=["x"]), "invalid context value: x, expected key=value"),
        (BuildOptions(outputs=["type=local,x"]), "invalid value x"),
        (BuildOptions(outputs=["type=tar,dest=x"], iidfile="f"), "incompatible with image ID file"),
        (BuildOptions(secrets=["x=y"]), "unexpected key 'x' in 'x=y'"),
        (BuildOptions(attests=["nothing"]), "invalid value nothing"),
    ],
)
def test_texts_that_say_nothing(options: BuildOptions, why: str) -> None:
    with pytest.raises(InvalidRequest) as told:
        check_texts(options)
    assert why in str(told.value)


def test_mappings_are_taken_as_they_are() -> None:
    pairs: Mapping[str, str] = {"a": "b"}
    check_texts(BuildOptions(build_args=pairs, labels=pairs, build_contexts=pairs))


def test_a_file_brings_its_folders(tmp_path: Path) -> None:
    wanted = tmp_path / "new/folder/result.tar"
    options = BuildOptions(str(tmp_path), outputs=[f"type=tar,dest={wanted}"])
    plan = make_plan(options)
    plan.close()
    assert plan.exports[0].to == ToFile(wanted)
    assert not wanted.parent.exists(), "not before there is something to write"
    output = FileOutput(wanted)
    output.write(b"x")
    output.commit()
    assert wanted.read_bytes() == b"x"
    below = BuildOptions(str(tmp_path), outputs=[f"type=tar,dest={wanted}/more"])
    with pytest.raises(InvalidRequest, match=r"invalid destination file: .+: not a directory"):
        make_plan(below)
