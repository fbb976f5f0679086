"""Words: limits and properties; the golden words are checked by `tests/golden`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croze.dockerfile.location import DockerfileError
from croze.dockerfile.shell import ShellLex
from croze.dockerfile.shell_pattern import replace_all, replace_first, trim_prefix, trim_suffix

TEXT = st.text(alphabet="ab*?\\/\n", max_size=12)
PLAIN = st.text(alphabet="abc\n", max_size=14)


def as_regex(pattern: str, *, longest: bool) -> str:
    star = "(?:.*)" if longest else "(?:.*?)"
    return "".join({"*": star, "?": "."}.get(char, re.escape(char)) for char in pattern)


@given(st.text(alphabet="ab*?", max_size=6), PLAIN, st.booleans())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_prefix_patterns_match_like_expressions(pattern: str, value: str, longest: bool) -> None:
    match = re.match(as_regex(pattern, longest=longest), value)
    want = value[match.end() :] if match else value
    assert trim_prefix(pattern, value, longest=longest) == want


@given(st.text(alphabet="ab*?", max_size=6), PLAIN)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_replacement_matches_like_expressions(pattern: str, value: str) -> None:
    want = re.sub(as_regex(pattern, longest=True), "X", value, count=1)
    assert replace_first(pattern, value, "X") == want


@given(st.text(alphabet="ab $}{'\"\\:-+?#%/<é\t", max_size=20), st.sampled_from(["\\", "`"]))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_any_word_expands_or_is_refused(word: str, escape: str) -> None:
    try:
        found = ShellLex(escape).expand(word, {"a": "b c", "b": ""})
    except DockerfileError as err:
        message = str(err)
    else:
        message = "failed to process "
        assert all(found.words)
        assert not found.matched & found.unmatched
    assert message.startswith("failed to process ")


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("${a//b/\\$0$0}", "a\\bc"),
        ("${a//b/$$x}", "axc"),
        ("${a//b/${z}}", "ac"),
        ("${a//*/-}", "-"),
        ("${a///-}", "-a-b-c-"),
        ("${a%?}", "ab"),
    ],
)
def test_a_replacement_may_refer_to_what_was_matched(word: str, want: str) -> None:
    assert ShellLex().expand(word, {"a": "abc"}).result == want


def test_templates_fill_in_the_match() -> None:
    assert replace_all("b", "abc", "<$0>${0}$1${x}$$") == ("a<b>b$c")
    assert replace_all("b", "abc", "$ ${") == "a$ ${c"
    assert trim_suffix("\\**", "a*b*c", longest=True) == "a"


def test_bad_escape_in_a_pattern() -> None:
    with pytest.raises(DockerfileError, match=r"invalid escape '\\x'"):
        trim_prefix("\\x", "x", longest=False)


def test_deep_nesting_is_refused_not_fatal() -> None:
    with pytest.raises(DockerfileError, match="nested too deep"):
        ShellLex().expand("${a:-" * 5000 + "}" * 5000, {})


@pytest.mark.parametrize("pattern", ["*a*a*a*a*b", "a*a*a*c", "?*?*?*b"])
def test_no_pattern_is_slow(pattern: str) -> None:
    env = {"v": "a" * 10_000}
    began = time.process_time()
    for modifier in (f"##{pattern}", f"%%{pattern}", f"/{pattern}/x", f"//{pattern}/x"):
        ShellLex().expand(f"${{v{modifier}}}", env)
    assert time.process_time() - began < 5
