"""Conversion: what the golden cases don't show."""

from __future__ import annotations

import json

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.dockerfile.contexts import BuildContexts
from croze.dockerfile.convert import Conversion, convert
from croze.dockerfile.convert.chmod import Chmod, parse_chmod
from croze.dockerfile.location import locations
from croze.dockerfile.options import parse_options
from croze.errors import CrozeError
from croze.gotypes.duration import format_duration
from tests.golden.stub_resolver import StubResolver


async def converted(text: str, *, no_caps: tuple[str, ...] = (), **opts: str) -> Conversion:
    raw = {key.replace("__", ":").replace("_", "-"): value for key, value in opts.items()}
    world = StubResolver(
        text.encode(), "dockerfile", "Dockerfile", disabled_caps=frozenset(no_caps)
    )
    contexts = BuildContexts(parse_options(raw), world)
    return await convert(await contexts.read_dockerfile(), contexts)


def names(conversion: Conversion) -> list[str]:
    definition = conversion.state.marshal()
    digests = [llb.digest_of(blob) for blob in llb.op_blobs(definition)[:-1]]
    return [definition.metadata[d].description["llb.customname"] for d in digests]


async def test_steps_are_numbered_and_padded() -> None:
    found = await converted("FROM alpine\n" + "RUN true\n" * 9)
    assert names(found)[1] == "[ 2/10] RUN true"


async def test_link_without_merge_is_an_ordinary_copy() -> None:
    found = await converted("FROM alpine\nCOPY --link a /\n", no_caps=("mergeop",))
    ops = [ops_pb2.Op.FromString(b) for b in llb.op_blobs(found.state.marshal())]
    assert not [op for op in ops if op.HasField("merge")]


async def test_a_stage_that_nothing_needs_is_not_looked_up() -> None:
    text = "FROM does-not-exist AS unused\nRUN true\nFROM alpine\nRUN true\n"
    assert len(names(await converted(text))) == 2


async def test_stages_may_only_look_back() -> None:
    text = "FROM alpine AS a\nCOPY --from=b /x /\nFROM alpine AS b\nFROM a\n"
    with pytest.raises(CrozeError) as caught:
        await converted(text)
    assert str(caught.value) == (
        'cannot copy from stage "b", it needs to be defined before current stage "a"'
    )
    assert [r[0].start.line for r in locations(caught.value)] == [2]


@pytest.mark.parametrize(
    ("words", "id", "target"),
    [
        ("target=/a/b", "b", "/a/b"),
        ("target=/a/b/", "b", "/a/b/"),
        ("target=/", "/", "/"),
        ("id=a/b", "a/b", "/run/secrets/b"),
        ("id=a/", "a/", "/run/secrets/a"),
        ("id=a,target=/c", "a", "/c"),
    ],
)
async def test_secrets_are_named_by_their_places_and_placed_by_their_names(
    words: str, id: str, target: str
) -> None:
    found = await converted(f"FROM alpine\nRUN --mount=type=secret,{words} true\n")
    ops = [ops_pb2.Op.FromString(blob) for blob in llb.op_blobs(found.state.marshal())]
    (mount,) = [mount for op in ops for mount in op.exec.mounts if mount.HasField("secretOpt")]
    assert (mount.secretOpt.ID, mount.dest) == (id, target)


async def test_a_config_that_is_no_json() -> None:
    with pytest.raises(CrozeError) as caught:
        await converted("FROM badjson-base\n")
    assert str(caught.value) == (
        "failed to parse image config: invalid character 'n' looking for beginning of object key"
        " string"
    )


async def test_bytes_that_are_not_utf_8() -> None:
    world = StubResolver(b"FROM alpine\nLABEL a=\xff\n", "dockerfile", "Dockerfile")
    contexts = BuildContexts(parse_options({}), world)
    found = await convert(await contexts.read_dockerfile(), contexts)
    assert json.loads(found.image)["config"]["Labels"] == {"a": "\ufffd"}


async def test_a_date_that_no_image_can_have() -> None:
    with pytest.raises(CrozeError, match="year outside of range"):
        await converted(
            "ARG SOURCE_DATE_EPOCH=999999999999\nFROM alpine\nRUN true\n",
        )


async def test_five_hundred_stages() -> None:
    stages = [f"FROM {'alpine' if n == 0 else f's{n - 1}'} AS s{n}\nRUN {n}" for n in range(500)]
    found = await converted("\n".join(stages))
    assert len(names(found)) == 501


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Chmod()),
        ("0755", Chmod(mode=0o755)),
        ("7777", Chmod(mode=0o7777)),
        ("u=rwX,go+r-w", Chmod(text="u=rwX,go+r-w")),
        ("+x", Chmod(text="+x")),
    ],
)
def test_modes_of_chmod_are_read(text: str, wanted: Chmod) -> None:
    assert parse_chmod(text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [("10000", "invalid chmod parameter: '10000'"), ("89", "'89'"), ("u", "invalid syntax")],
)
def test_what_is_no_mode_is_refused(text: str, message: str) -> None:
    with pytest.raises(CrozeError) as caught:
        parse_chmod(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (30_000_000_000, "30s"),
        (90_500_000_000, "1m30.5s"),
        (3_600_000_000_000, "1h0m0s"),
        (-1_000_000_000, "-1s"),
    ],
)
def test_durations_are_written_as_go_does(ns: int, text: str) -> None:
    assert format_duration(ns) == text
