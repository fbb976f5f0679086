"""Whatever a Dockerfile or an ignore file holds: an answer or a refusal, soon, the same twice.

Bounded for CI; `CROZE_FUZZ=50` tries fifty times as much, with new seeds.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croze.dockerfile.frontend import build
from croze.dockerfile.parser import parse
from croze.dockerfile.resolver import FrontendResult
from croze.dockerfile.shell import ShellLex
from croze.fs.match.ignore import read_ignore_file
from croze.fs.match.patterns import PatternMatcher
from tests.dockerfile.hostile import FACTOR, HEAD, LINE, options
from tests.golden.stub_resolver import StubResolver
from tests.support.settled import settled, settled_later

SLOW_S = 5.0


def effort(examples: int) -> settings:
    return settings(
        max_examples=examples * FACTOR,
        deadline=1000,
        derandomize=FACTOR == 1,
        suppress_health_check=[HealthCheck.too_slow],
    )


DOCKERFILE = st.builds(lambda head, lines: head + "".join(lines), HEAD, st.lists(LINE, max_size=8))
REQUEST = st.sampled_from(["", "", "frontend.lint", "frontend.outline", "frontend.targets"])


async def answer(data: bytes, opts: dict[str, str]) -> None:
    """An answer, or one of our own errors with a message; again the same."""

    async def once() -> FrontendResult:
        return await build(opts, StubResolver(data, "dockerfile", "Dockerfile", {}))

    await settled_later(once)


@given(DOCKERFILE, REQUEST)
@effort(200)
async def test_any_dockerfile_converts_or_is_refused(text: str, request: str) -> None:
    await answer(text.encode(), options(request) if request else {})


@given(st.binary(max_size=120), st.sampled_from([b"", b"FROM alpine\nENV a=", b"FROM a\nRUN <<"]))
@effort(200)
async def test_any_bytes_convert_or_are_refused(data: bytes, before: bytes) -> None:
    await answer(before + data, {})


@given(st.text(alphabet="<-'\"EOF\\ \n3\t$x", max_size=40))
@effort(300)
def test_any_heredoc_is_read_or_refused(text: str) -> None:
    settled(lambda: parse(f"FROM a\nRUN <<{text}\nCOPY <<{text} /x\nEOF\n".encode()).ast)


@given(
    st.text(alphabet="$${}:-+?#%/\\\\`'\"< abAB_1*?[]é\n", max_size=40),
    st.sampled_from(["\\", "`"]),
    st.sampled_from(["", "x", "foo/bar.tar.gz", "a b", "*", "$A", "é"]),
    st.sets(st.sampled_from(["raw_quotes", "raw_escapes", "skip_process_quotes", "skip_unset"])),
)
@effort(400)
def test_any_word_is_expanded_or_refused(
    word: str, escape: str, value: str, flags: set[str]
) -> None:
    lex = ShellLex(escape, **dict.fromkeys(flags, True))
    found = lex.attempt(word, {"A": value, "a": value})
    assert found.error is None or str(found.error)
    assert found.matched <= {"A", "a"}
    assert not found.matched & found.unmatched


@given(
    st.text(alphabet="ab*?[]!^-\\/.# \n\r\té", max_size=30),
    st.text(alphabet="ab/.-[\\é", min_size=1, max_size=12),
)
@effort(400)
def test_any_ignore_file_is_read_or_refused(text: str, path: str) -> None:
    def matches() -> bool:
        matcher = PatternMatcher(read_ignore_file(text.encode()))
        found = matcher.matches_or_parent(path)
        assert matcher.matches_or_parent(path) == found
        return found

    settled(matches)


N = 4000
LONG = {
    "words": "RUN " + "a " * 8 * N,
    "continuations": "RUN a" + " \\\n b" * N,
    "empty continuations": "RUN a \\\n" + "\n" * N + "b",
    "comments": "# x\n" * N + "RUN a",
    "flags": "COPY " + "--exclude=a " * (N // 2) + "a /",
    "mounts": "RUN " + "--mount=type=cache,target=/a " * 400 + "x",
    "quotes": 'ENV a="' + "'\\\"" * 4 * N + '"',
    "open quotes": "ENV a=" + "'\"" * 4 * N,
    "json": "RUN [" + '"a",' * 4 * N + '"b"]',
    "nested json": "RUN " + "[" * 8 * N,
    "pairs": "ENV " + "a=b " * 4 * N,
    "variables": "ENV a=" + "$b${c}" * 2 * N,
    "defaults": "ENV a=" + "${b:-" * 300 + "}" * 300,
    "open braces": "ENV a=" + "${b:-" * N,
    "star patterns": "ARG v=" + "a" * 2000 + "\nENV x=${v##" + "*a" * 200 + "b}",
    "replacements": "ARG v=" + "a" * 8000 + "\nENV x=${v//a*/b}",
    "heredocs": "RUN " + "<<E " * N + "\n" + "E\n" * N,
    "open heredoc": "RUN <<E\n" + "x\n" * 8 * N,
    "almost heredocs": "RUN " + "<<-'" * 4 * N,
    "ports": "EXPOSE 1-60000",
    "labels": "LABEL " + " ".join(f"k{i}=v" for i in range(N)),
    "growing": "ENV a0=xxxxxxxxxx\n" + "\n".join(f"ENV a{i + 1}=$a{i}" for i in range(N // 4)),
    "copies": "\n".join(f"COPY a{i} /b{i}" for i in range(N // 4)),
    "onbuilds": "ONBUILD " * N + "RUN x",
    "spaces": "RUN" + " " * 15 * N + "x",
    "backslashes": "RUN " + "\\" * 15 * N,
    "bytes": "RUN \ufeff" + "é" * 7 * N,
}


@pytest.mark.parametrize("name", LONG)
async def test_long_input_takes_no_longer_than_it_should(name: str) -> None:
    began = time.process_time()
    await answer(f"FROM alpine\n{LONG[name]}\n".encode(), {})
    assert time.process_time() - began < SLOW_S


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "b", "a" * 200),
        ("**/" * 30 + "b", "a/" * 100 + "c"),
        ("a?*" * 30, "a" * 200),
        ("**" * 40, "/".join("a" * 60)),
        ("[a-z]*" * 25 + "1", "a" * 100),
    ],
)
def test_no_pattern_takes_ages(pattern: str, path: str) -> None:
    began = time.process_time()
    PatternMatcher([pattern, f"!{pattern}x"]).matches_or_parent(path)
    assert time.process_time() - began < 1


def stages(count: int, lines: int) -> bytes:
    """A Dockerfile of that many stages and lines that builds them all."""
    text = []
    for stage in range(count):
        text.append(f"FROM {f's{stage - 1}' if stage % 10 else 'alpine'} AS s{stage}")
        text.append(f"COPY --from=s{stage - 1} /a /b" if stage else "WORKDIR /a")
        for line in range(lines // count - 2):
            kinds = (f"RUN echo {line} > /x{stage}", f"ENV A{line}=$PATH", f"COPY f{line} /d/")
            text.append(kinds[line % 3])
    return "\n".join(text).encode()


async def duration(data: bytes) -> float:
    """The processor's seconds, the best of three: what else the machine does is no matter."""
    found = []
    for _ in range(3):
        began = time.process_time()
        await build({}, StubResolver(data, "dockerfile", "Dockerfile", {}))
        found.append(time.process_time() - began)
    return min(found)


async def test_a_very_large_dockerfile_converts_within_its_aim() -> None:
    data = stages(500, 5000)
    assert data.count(b"\n") + 1 == 5000
    assert await duration(data) < 1.0 * 3  # the aim is one second; processors differ


async def test_an_ordinary_dockerfile_converts_within_its_aim() -> None:
    assert await duration(stages(3, 30)) < 0.010 * 3
