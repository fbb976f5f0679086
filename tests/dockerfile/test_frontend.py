"""The frontend as a daemon calls it, on the made-up world of the golden corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.dockerfile.frontend import build
from croze.dockerfile.resolver import (
    FrontendResult,
    ImageQuestion,
    ReplacedImage,
    ResolvedImage,
    SourceMeta,
    Syntax,
)
from croze.errors import (
    CrozeError,
    FrontendCapDetail,
    NotFound,
    Range,
    SourceDetail,
    SubrequestDetail,
    Unsupported,
)
from croze.status import VertexWarning
from tests.golden.stub_resolver import StubResolver


@dataclass
class World(StubResolver):
    """Remembers warnings."""

    warned: list[tuple[str, str]] = field(default_factory=list)
    shown: list[SourceDetail] = field(default_factory=list)

    async def warn(self, warnings: Sequence[VertexWarning]) -> None:
        self.warned += [(warning.vertex, warning.short) for warning in warnings]
        self.shown += [warning.source for warning in warnings if warning.source is not None]


def world(text: str, files: Mapping[str, Mapping[str, str]] | None = None) -> World:
    return World(text.encode(), "dockerfile", "Dockerfile", files or {})


async def test_one_platform_has_one_definition_and_its_config() -> None:
    result = await build({}, world("FROM alpine\nRUN true\n"))
    assert list(result.definitions) == [""]
    assert sorted(result.metadata) == [
        "containerimage.base.config",
        "containerimage.config",
        "refs.platforms",
    ]
    (listed,) = json.loads(result.metadata["refs.platforms"])["Platforms"]
    assert listed["Platform"] == {"architecture": "amd64", "os": "linux"}


async def test_several_platforms_are_keyed() -> None:
    opts = {"platform": "linux/amd64,linux/arm/v7", "build-arg:SOURCE_DATE_EPOCH": "7"}
    result = await build(opts, world("FROM alpine\nRUN true\n"))
    assert list(result.definitions) == ["linux/amd64", "linux/arm/v7"]
    config = json.loads(result.metadata["containerimage.config/linux/arm/v7"])
    assert (config["architecture"], config["variant"]) == ("arm", "v7")
    assert result.metadata["source.date.epoch/linux/amd64"] == b"7"


class Windows(World):
    """Its images are of one Windows."""

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        config = {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"}
        return ResolvedImage(
            question.ref, "", json.dumps({**config, "os.features": ["y"]}).encode()
        )


@pytest.mark.parametrize(
    ("platform", "version", "features"),
    [
        ("windows/amd64", "10.0.1", ["y"]),
        ("windows(10.0.2)/amd64", "10.0.2", ["y"]),
        ("windows(10.0.2+x)/amd64", "10.0.2", ["x"]),
        ("linux/amd64", None, None),
    ],
)
async def test_the_base_image_says_which_windows_it_is_where_nobody_else_does(
    platform: str, version: str | None, features: list[str] | None
) -> None:
    windows = Windows(b"FROM base\n", "dockerfile", "Dockerfile", {})
    result = await build({"platform": platform}, windows)
    (listed,) = json.loads(result.metadata["refs.platforms"])["Platforms"]
    assert listed["Platform"].get("os.version") == version
    assert listed["Platform"].get("os.features") == features


@dataclass
class Asked(World):
    """Remembers what was asked of sources, and lends no folder that is called `withheld`."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        self.asked.append((source.identifier, log_name))
        return await super().source_meta(source, log_name=log_name)

    async def read_file(
        self, definition: ops_pb2.Definition, path: str, *, limit_bytes: int | None = None
    ) -> bytes:
        if b"local://withheld" in definition.SerializeToString():
            raise NotFound("no access allowed").with_code()
        if b"local://broken" in definition.SerializeToString():
            raise CrozeError("is a directory")
        return await super().read_file(definition, path, limit_bytes=limit_bytes)


def asked(text: str) -> Asked:
    return Asked(text.encode(), "dockerfile", "Dockerfile")


@pytest.mark.parametrize(("value", "name"), [("context", "main build"), ("other", "named")])
async def test_folders_are_asked_for_a_date_as_well(value: str, name: str) -> None:
    """It shows as a step, as BuildKit has it, though they have none."""
    seen = asked("FROM scratch\nCOPY a /\n")
    opts = {"build-arg:SOURCE_DATE_EPOCH": value, "context:other": "local:other"}
    result = await build(opts, seen)
    assert "source.date.epoch" not in result.metadata
    ((identifier, shown),) = seen.asked
    assert identifier == f"local://{value}"
    assert name in shown


async def test_a_named_folder_that_is_not_lent_fails_where_it_is_used() -> None:
    text = "FROM scratch\nCOPY --from=other a /\n"
    with pytest.raises(NotFound, match="no access allowed") as caught:
        await build({"context:other": "local:withheld"}, asked(text))
    (place,) = (d for d in caught.value.details if isinstance(d, SourceDetail))
    assert [found.start.line for found in place.ranges] == [2]


async def test_a_named_folder_whose_ignore_file_cannot_be_read_has_none() -> None:
    text = "FROM scratch\nCOPY --from=other a /\n"
    assert await build({"context:other": "local:broken"}, asked(text))


async def test_warnings_name_the_step_that_loaded_the_file() -> None:
    seen = world("FROM alpine\nCMD sleep 1\n")
    await build({"platform": "linux/amd64,linux/arm64"}, seen)
    ((vertex, short),) = seen.warned
    assert vertex.startswith("sha256:")
    assert short.startswith("JSONArgsRecommended: ")
    assert short.endswith(" (line 2)")


async def test_an_error_shows_the_file() -> None:
    with pytest.raises(CrozeError, match="invalid signal") as caught:
        await build({}, world("FROM alpine\nSTOPSIGNAL NOPE\n"))
    (detail,) = caught.value.details
    assert isinstance(detail, SourceDetail)
    assert detail.filename == "Dockerfile"
    assert detail.data.startswith(b"FROM")
    assert detail.ranges[0].start.line == 2
    assert detail.definition


async def test_thousands_of_warnings_share_the_file_and_show_so_much_of_it() -> None:
    """The same bytes for each: copies would be as many times the file."""
    asked = world("FROM scratch\n" + "".join(f"ENV V{n} {'x' * 40}\n" for n in range(3000)))
    await build({}, asked)
    assert len(asked.warned) == 3000
    assert len({id(source) for source in asked.shown}) == 1
    assert 0.9 * (64 << 20) < sum(len(source.data) for source in asked.shown) < 1.1 * (64 << 20)


async def test_warnings_come_before_the_error() -> None:
    seen = world("# check=error=true\nFROM alpine\nCMD sleep 1\n")
    with pytest.raises(CrozeError, match="lint violation found for rules: JSONArgsRecommended"):
        await build({}, seen)
    assert len(seen.warned) == 1


async def test_a_missing_dockerfile_is_named() -> None:
    with pytest.raises(CrozeError, match="failed to read dockerfile: open other: no such file"):
        await build({"filename": "other"}, world("FROM alpine"))


async def test_a_lower_case_dockerfile_is_found() -> None:
    seen = World(b"FROM alpine", "dockerfile", "dockerfile")
    assert await build({}, seen)


@pytest.mark.parametrize(
    ("request_id", "key"),
    [
        ("frontend.outline", "args"),
        ("frontend.targets", "targets"),
        ("frontend.lint", "warnings"),
        ("frontend.convertllb", "def"),
    ],
)
async def test_subrequests_answer_in_metadata_alone(request_id: str, key: str) -> None:
    seen = world("FROM alpine AS a\nARG X=1\nRUN echo $X\nCMD ls\n")
    result = await build({"requestid": request_id}, seen)
    assert not result.definitions
    assert key in json.loads(result.metadata["result.json"])


async def test_an_unknown_subrequest() -> None:
    with pytest.raises(Unsupported, match=r"unsupported request frontend\.dance") as caught:
        await build({"requestid": "frontend.dance"}, world("FROM alpine"))
    assert caught.value.details == (SubrequestDetail("frontend.dance"),)


async def test_a_missing_capability() -> None:
    caps = "moby.buildkit.frontend.inputs,moby.buildkit.frontend.dance"
    with pytest.raises(Unsupported) as caught:
        await build({"frontend.caps": caps}, world("FROM alpine"))
    assert caught.value.details == (FrontendCapDetail("moby.buildkit.frontend.dance"),)


async def test_another_frontend_is_asked() -> None:
    asked: list[Syntax] = []

    async def forward(syntax: Syntax) -> FrontendResult | None:
        asked.append(syntax)
        return FrontendResult({}, {"from": b"elsewhere"})

    text = "# syntax=example.com/front:1 arg\nFROM alpine\n"
    result = await build({}, world(text), forward=forward)
    assert result.metadata == {"from": b"elsewhere"}
    await build({"build-arg:BUILDKIT_SYNTAX": "other"}, world(text), forward=forward)
    assert [s.image for s in asked] == ["example.com/front:1", "other"]
    assert (await build({"cmdline": "x"}, world(text), forward=forward)).definitions


async def test_another_frontend_fails() -> None:
    async def forward(syntax: Syntax) -> FrontendResult | None:
        raise CrozeError("no such image")

    with pytest.raises(CrozeError, match="no such image") as caught:
        await build({}, world("# syntax=front\nFROM alpine\n"), forward=forward)
    (detail,) = caught.value.details
    assert isinstance(detail, SourceDetail)
    assert isinstance(detail.ranges[0], Range)


async def test_the_context_is_reduced_to_what_is_used() -> None:
    text = "FROM alpine\nCOPY b a /x/\nFROM scratch\nCOPY --from=0 /x /\n"
    result = await build({}, world(text, {"context": {".dockerignore": "tmp\n"}}))
    sources = llb.source_ops(result.definitions[""])
    (context,) = [s for s in sources if s.identifier == "local://context"]
    assert context.attrs["local.followpaths"] == '["a","b"]'
    assert context.attrs["local.excludepatterns"] == '["tmp"]'


async def test_a_named_local_context_has_its_own_ignore_file() -> None:
    files = {"docs": {".dockerignore": "*.tmp\n"}}
    text = "FROM alpine\nCOPY --from=site index.html /\n"
    opts = {"context:site": "local:docs", "local-sessionid:docs": "other"}
    result = await build(opts, world(text, files))
    sources = llb.source_ops(result.definitions[""])
    (docs,) = [s for s in sources if s.identifier == "local://docs"]
    assert docs.attrs["local.excludepatterns"] == '["*.tmp"]'
    assert docs.attrs["local.followpaths"] == '["index.html"]'
    assert docs.attrs["local.session"] == "other"


async def test_an_image_as_a_named_context_may_be_scratch() -> None:
    text = "FROM base\nCOPY --from=base /x /y\n"
    result = await build({"context:base": "docker-image://scratch"}, world(text))
    assert llb.source_ops(result.definitions[""]) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nothing", "invalid context specifier nothing for base"),
        ("ftp://x", "unsupported context source ftp for base"),
        ("input:gone", "invalid input gone for base"),
        ("oci-layout://store", 'oci-layout reference "store" has no digest'),
    ],
)
async def test_bad_named_contexts(value: str, message: str) -> None:
    with pytest.raises(CrozeError) as caught:
        await build({"context:base": value}, world("FROM base\n"))
    assert str(caught.value) == message


@dataclass
class Circle(World):
    """Its policies put one image in another's place, for ever."""

    asked: list[str] = field(default_factory=list)

    async def resolve_image(self, question: ImageQuestion) -> NoReturn:
        self.asked.append(question.ref)
        raise ReplacedImage("replaced", "docker-image://other")


async def test_replacements_come_to_an_end() -> None:
    circle = Circle(b"FROM base\n", "dockerfile", "Dockerfile", {})
    with pytest.raises(CrozeError) as caught:
        await build({"context:base": "docker-image://first"}, circle)
    assert str(caught.value) == (
        "context recursion limit exceeded; this may indicate a cycle in the provided source "
        "policies: docker-image://other"
    )
    assert circle.asked == ["docker.io/library/first:latest"] + 10 * [
        "docker.io/library/other:latest"
    ]


async def test_a_context_that_names_itself_is_the_image() -> None:
    result = await build({"context:alpine": "docker-image://alpine"}, world("FROM alpine\n"))
    assert [s.identifier for s in llb.source_ops(result.definitions[""])] == [
        "docker-image://docker.io/library/alpine:latest"
    ]


@pytest.mark.parametrize(
    ("context", "identifier"),
    [
        ("docker-image://files:1", "docker-image://docker.io/library/files:1"),
        (
            f"oci-layout://store@sha256:{'0' * 64}",
            f"oci-layout://docker.io/library/context@sha256:{'0' * 64}",
        ),
    ],
)
async def test_an_image_as_main_context(context: str, identifier: str) -> None:
    seen = world("FROM scratch\nCOPY input.txt /\n")
    result = await build({"context": context, "dockerfilekey": "dockerfile"}, seen)
    assert [s.identifier for s in llb.source_ops(result.definitions[""])] == [identifier]


async def test_an_input_as_context() -> None:
    seen = World(b"FROM alpine\nCOPY input.txt /\n", "dockerfile", "Dockerfile")
    seen.input_texts = {"context": "hello", "base": "x"}
    result = await build({}, seen)
    assert not [
        s for s in llb.source_ops(result.definitions[""]) if s.identifier.startswith("local")
    ]


async def test_maps_of_a_definition_are_in_order() -> None:
    opts = {"requestid": "frontend.convertllb"}
    reply = await build(opts, world("FROM alpine\nCOPY --parents --exclude=x a /b\n"))
    ops = json.loads(reply.metadata["result.json"])["def"].values()
    (attrs,) = (op["source"]["attrs"] for op in ops if "local" in str(op.get("source")))
    assert len(attrs) > 2
    assert list(attrs) == sorted(attrs)


@pytest.mark.parametrize("request_id", ["frontend.outline", "frontend.targets"])
async def test_requests_for_information_do_not_say_where_an_error_is(request_id: str) -> None:
    with pytest.raises(CrozeError) as caught:
        await build({"requestid": request_id}, world("FROM alpine\nFROB x\n"))
    assert "line 2" in str(caught.value)
    assert not [d for d in caught.value.details if isinstance(d, SourceDetail)]


SCANNED = """\
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true
FROM alpine AS tools
ARG BUILDKIT_SBOM_SCAN_STAGE=true
RUN make
FROM scratch
ARG BUILDKIT_SBOM_SCAN_CONTEXT
COPY --from=tools /out /
COPY f /
"""


async def test_an_sbom_is_of_the_result_and_of_what_the_dockerfile_names() -> None:
    opts = {"attest:sbom": "generator=scan", "platform": "linux/amd64", "no-cache": "tools"}
    result = await build(opts, world(SCANNED))
    scan = result.scans["linux/amd64"]
    assert sorted(scan.extras) == ["context", "tools"]
    assert scan.ignore_cache


async def test_without_an_sbom_there_is_nothing_to_scan() -> None:
    assert not (await build({}, world(SCANNED))).scans
