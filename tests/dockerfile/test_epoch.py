"""`SOURCE_DATE_EPOCH` that names a stage: the date of the one source that it adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from croze.api import ops_pb2
from croze.dockerfile.frontend import build
from croze.dockerfile.resolver import FrontendResult, SourceMeta
from croze.errors import CrozeError
from tests.golden.stub_resolver import StubResolver

META = SourceMeta(committer_time=3, last_modified=2)


@dataclass
class Dated(StubResolver):
    """All sources have a date; remembers which were asked for it."""

    meta: SourceMeta = META
    asked: list[str] = field(default_factory=list)

    async def source_meta(self, source: ops_pb2.SourceOp, *, log_name: str) -> SourceMeta:
        self.asked.append(source.identifier)
        return self.meta


def dated(stage: str, meta: SourceMeta = META) -> Dated:
    text = f"FROM scratch AS other\n{stage}\nFROM scratch\nCOPY a /\n"
    return Dated(text.encode(), "dockerfile", "Dockerfile", meta=meta)


async def built(resolver: Dated, args: Mapping[str, str] | None = None) -> FrontendResult:
    opts = {"build-arg:SOURCE_DATE_EPOCH": "when"}
    opts |= {f"build-arg:{name}": value for name, value in (args or {}).items()}
    return await build(opts, resolver)


@pytest.mark.parametrize(
    ("lines", "args", "identifier"),
    [
        ("ADD https://x.example/a.tar /", {}, "https://x.example/a.tar"),
        ("ADD https://x.example/a.git#v1 /", {}, "git://x.example/a.git#v1"),
        ("ARG V=1\nADD https://x.example/$V /", {}, "https://x.example/1"),
        ("ARG V=1\nADD https://x.example/$V /", {"V": "2"}, "https://x.example/2"),
        ("ARG V\nADD https://x.example/a$V /", {}, "https://x.example/a"),
    ],
)
async def test_the_source_is_asked(lines: str, args: dict[str, str], identifier: str) -> None:
    resolver = dated(f"FROM scratch AS When\n{lines}")
    result = await built(resolver, args)
    assert resolver.asked == [identifier]
    assert result.metadata["source.date.epoch"] == b"3", "the commit's comes first"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("FROM alpine AS when\nADD https://x.example/a /", "stage must use FROM scratch"),
        ("FROM scratch AS when", "stage must contain exactly one remote ADD$"),
        (
            "FROM scratch AS when\nADD https://x.example/a /\nADD https://x.example/b /",
            "stage must contain exactly one remote ADD$",
        ),
        (
            "FROM scratch AS when\nADD https://x.example/a https://x.example/b /",
            "stage must contain exactly one remote ADD source$",
        ),
        ("FROM scratch AS when\nADD <<E /\nx\nE", "exactly one remote ADD source$"),
        ("FROM scratch AS when\nADD a /", "source must be a single HTTP"),
        ("FROM scratch AS when\nADD github.com/a/b /", "source must be a single HTTP"),
        ("FROM scratch AS when\nRUN true", "unsupported RUN instruction"),
        ("FROM scratch AS then", "invalid SOURCE_DATE_EPOCH: when"),
    ],
)
async def test_a_stage_that_has_no_one_source(stage: str, message: str) -> None:
    resolver = dated(stage)
    with pytest.raises(CrozeError, match=message):
        await built(resolver)
    assert resolver.asked == []


async def test_a_download_without_a_date_that_is_no_archive_has_none() -> None:
    resolver = dated("FROM scratch AS when\nADD https://x.example/a /", SourceMeta())
    assert "source.date.epoch" not in (await built(resolver)).metadata
    resolver = dated("FROM scratch AS when\nADD https://x.example/a /", SourceMeta(last_modified=2))
    assert (await built(resolver)).metadata["source.date.epoch"] == b"2"
