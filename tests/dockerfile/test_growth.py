"""Twice as much Dockerfile is about twice as much work, whatever it says.

The work is counted: lines of Python that are run. What C does within a line (a list that is copied)
is only seen in time, which is taken for what can have many of it. Bounded for CI; `CROZE_FUZZ=50`
tries fifty times as much, with new seeds, and takes the time of all.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croze.dockerfile.frontend import build
from croze.errors import CrozeError
from croze.fs.match.patterns import PatternMatcher
from tests.dockerfile.hostile import FACTOR, FLAGS, HEAD, LINE, WORDS, options
from tests.golden.stub_resolver import StubResolver

LIMIT: Final = 2.6
"""How much more work twice as much may be."""
FRONTEND: Final = f"{os.sep}croze{os.sep}"

Shape = Callable[[int], str]


def lines(text: str, head: str = "FROM alpine\n", tail: str = "") -> Shape:
    """`text` again and again, `@` being the number."""
    return lambda n: head + "".join(text.replace("@", str(i)) + "\n" for i in range(n)) + tail


def words(before: str, text: str, after: str = "") -> Shape:
    """One instruction that holds `text` again and again."""
    return lambda n: (
        "FROM alpine\nARG v=aaaa\n"
        + before
        + "".join(text.replace("@", str(i)) for i in range(n))
        + after
        + "\n"
    )


COPIED: Final[dict[str, Shape]] = {
    "ENV": lines("ENV a@=b"),
    "one ENV": words("ENV ", "a@=b "),
    "the same ENV": lines("ENV a=$a"),
    "ARG": lines("ARG a@=b"),
    "global ARG": lines("ARG a@=b", "", "FROM alpine\n"),
    "ONBUILD": lines("ONBUILD RUN @"),
    "EXPOSE": lines("EXPOSE @"),
    "VOLUME": lines("VOLUME /@"),
}
"""Of what the image or the environment keeps a list."""

LINES: Final[dict[str, Shape]] = {
    **COPIED,
    "undefined": lines("ENV a_variable_with_a_name@=$another_variable_here@"),
    "undefined, many known": lines("ARG abcd@\nENV x=$abce@"),
    "undefined in FROM": lines("FROM alpine$x@ AS s@", "ARG x=1\n"),
    "unknown stages": lines("COPY --from=alpine /a@ /b"),
    "LABEL": lines("LABEL a@=b"),
    "legacy LABEL": lines("LABEL a@ b"),
    "RUN": lines("RUN echo @"),
    "RUN with a mount": lines("RUN --mount=type=cache,target=/c@ echo"),
    "RUN with a heredoc": lines("RUN <<E@\necho\nE@"),
    "COPY with a heredoc": lines("COPY <<E@ /f@\n$v\nE@"),
    "COPY": lines("COPY a@ /b/"),
    "COPY --exclude": lines("COPY --exclude=*.@ a /b/"),
    "COPY --parents": lines("COPY --parents a/./@ /b/"),
    "ADD": lines("ADD http://h/f@ /b/"),
    "ADD git": lines("ADD https://h/r.git#m@ /b/"),
    "CMD": lines("CMD a @"),
    "SHELL": lines('SHELL ["a@", "b"]'),
    "HEALTHCHECK": lines("HEALTHCHECK --interval=@s CMD a"),
    "WORKDIR": lines("WORKDIR /a@"),
    "USER": lines("USER u@"),
    "stages": lines("FROM alpine AS s@"),
    "stages on one another": lambda n: (
        "FROM alpine AS s0\n" + "".join(f"FROM s{i} AS s{i + 1}\nRUN x\n" for i in range(n))
    ),
    "stages that copy": lambda n: (
        "FROM alpine AS s0\n"
        + "".join(f"FROM alpine AS s{i + 1}\nCOPY --from=s{i} /a /b\n" for i in range(n))
    ),
    "comments": lines("# check=skip=A@"),
    "directives": lines("# a@=b", "", "FROM alpine\n"),
    "comments of ARG": lines("# a@ is an argument\nARG a@"),
    "empty lines": lines(""),
    "unused stages": lines("FROM alpine AS s@\nRUN x", "FROM alpine AS base\n", "FROM base\n"),
    "duplicate stages": lines("FROM alpine AS s"),
}

WORDS_AGAIN: Final[dict[str, Shape]] = {
    "words": words("RUN ", "a "),
    "continuations": words("RUN a", " \\\n b"),
    "heredocs": lambda n: "FROM alpine\nRUN " + "<<E " * n + "\n" + "E\n" * n,
    "heredoc's lines": lambda n: "FROM alpine\nRUN <<E\n" + "x\n" * n + "E\n",
    "mounts": words("RUN ", "--mount=type=cache,target=/a@ ", "x"),
    "mount's fields": words("RUN --mount=type=cache,target=/a", ",id=@", " x"),
    "excludes": words("COPY ", "--exclude=a@ ", "a /"),
    "sources": words("COPY ", "a@ ", "/b/"),
    "JSON": words("RUN [", '"a@",', '"b"]'),
    "JSON's escapes": words('RUN ["', "\\u0041", '"]'),
    "nested JSON": words("RUN ", "["),
    "labels": words("LABEL ", "a@=b "),
    "ports": words("EXPOSE ", "@/tcp "),
    "volumes": words("VOLUME ", "/a@ "),
    "arguments": words("ARG ", "a@=b "),
    "variables": words("ENV a=", "$v${v}"),
    "undefined variables": words("ENV a=", "$u@ "),
    "quotes": words('ENV a="', "'\\\"", '"'),
    "replacements": lambda n: f"FROM alpine\nARG v={'a' * n}\nENV x=${{v//a/b}}\n",
    "suffixes": lambda n: f"FROM alpine\nARG v={'a' * n}\nENV x=${{v%%b*}}\n",
    "prefixes": lambda n: f"FROM alpine\nARG v={'a' * n}\nENV x=${{v##*b}}\n",
    "open braces": words("ENV a=", "${b:-"),
    "spaces": lambda n: "FROM alpine\nRUN a" + " " * n + "b\n",
    "syntax": lambda n: "#syntax=x" + " " * n + "y\nFROM alpine\n",
    "chmod": words("COPY --chmod=", "u+x,", "g+x a /b"),
    "URL": words("ADD http://h/", "a/../", " /b"),
    "git URL": words("ADD https://h/r.git?", "a@=b&", " /b"),
    "paths": words("WORKDIR ", "a/../"),
    "base": lambda n: "FROM " + "a/" * (n + 300) + "b\n",
    "platform": lambda n: "FROM --platform=linux/" + "a/" * n + " alpine\n",
    "name": lambda n: "FROM alpine AS " + "a-" * n + "\n",
    "check": lambda n: "# check=skip=" + "a," * n + "\nFROM alpine\n",
    "from": words("COPY --from=", "a/", " /a /b"),
    "backslashes": words("RUN ", "\\"),
}


async def converted(text: str, request: str = "") -> None:
    """Converted or refused."""
    told = options(request) if request else {}
    try:
        await build(told, StubResolver(text.encode(), "dockerfile", "Dockerfile", {}))
    except CrozeError:
        return


async def work(text: str, request: str = "") -> int:
    """How many lines of ours are run for it."""
    count = 0

    def local(frame: FrameType, event: str, arg: object) -> object:
        nonlocal count
        count += event == "line"
        return local

    def enter(frame: FrameType, event: str, arg: object) -> object:
        return local if FRONTEND in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(enter)  # type: ignore[arg-type]
    try:
        await converted(text, request)
    finally:
        sys.settrace(before)
    return count


async def growth(shape: Shape, n: int, request: str = "") -> float:
    """How much more it costs when what is added has doubled: what there is once doesn't count."""
    await converted(shape(2), request)  # what is only done once in a process
    one, two, four = [await work(shape(k), request) for k in (n, 2 * n, 4 * n)]
    return max(0, four - two) / max(n, two - one)


@pytest.mark.parametrize("name", LINES)
async def test_more_lines_are_as_much_more_work(name: str) -> None:
    assert await growth(LINES[name], 80) < LIMIT


@pytest.mark.parametrize("request_name", ["frontend.lint", "frontend.outline", "frontend.targets"])
@pytest.mark.parametrize("name", ["ARG", "global ARG", "stages on one another"])
async def test_questions_about_more_lines_are_as_much_more_work(
    name: str, request_name: str
) -> None:
    assert await growth(LINES[name], 50, request_name) < LIMIT


@pytest.mark.parametrize("name", WORDS_AGAIN)
async def test_longer_lines_are_as_much_more_work(name: str) -> None:
    assert await growth(WORDS_AGAIN[name], 100) < LIMIT


@pytest.mark.parametrize("pattern", ["a@", "**/a@", "a@/**", "*.a@", "!a@"])
def test_more_patterns_are_as_much_more_work(pattern: str) -> None:
    def seconds(n: int) -> float:
        patterns = [pattern.replace("@", str(i)) for i in range(n)]
        began = time.thread_time()
        PatternMatcher(patterns).matches_or_parent("x/y")
        return time.thread_time() - began

    assert any(seconds(10_000) < seconds(2500) * LIMIT**2 for _ in range(4))


@given(HEAD, LINE, st.sampled_from(["line", "word"]), st.sampled_from([*WORDS, *FLAGS]))
@settings(
    max_examples=20 * FACTOR,
    deadline=None,
    derandomize=FACTOR == 1,
    suppress_health_check=[HealthCheck.too_slow],
)
async def test_anything_again_and_again(head: str, line: str, kind: str, word: str) -> None:
    def shape(n: int) -> str:
        again = line * n if kind == "line" else f"{line.rstrip()} {f'{word} ' * n}x\n"
        return f"{head}FROM alpine\n{again}"

    assert await growth(shape, 30) < LIMIT


async def seconds(text: str) -> float:
    gc.collect()
    gc.disable()  # it comes when it comes
    try:
        began = time.thread_time()
        await converted(text)
        return time.thread_time() - began
    finally:
        gc.enable()


@pytest.mark.parametrize("name", COPIED if FACTOR == 1 else [*LINES, *WORDS_AGAIN])
async def test_lists_are_not_copied_for_each_that_is_added(name: str) -> None:
    shape = {**LINES, **WORDS_AGAIN}[name]
    few, many = shape(3000), shape(12000)
    short = long = float("inf")
    for _ in range(4):  # what else the machine does is no matter
        short, long = min(short, await seconds(few)), min(long, await seconds(many))
        if long < short * LIMIT**2:
            break
    assert long < short * LIMIT**2
