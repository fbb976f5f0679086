"""Addresses as sources of ADD, of which several may stand in one."""

from __future__ import annotations

import pytest

from croze import llb
from croze.dockerfile.convert.remote import add_git, url_filename
from croze.errors import CrozeError
from croze.llb.gitref import GitRef, parse_git_ref

SHA, OTHER = "a" * 40, "b" * 40


def repository(query: str) -> GitRef:
    found = parse_git_ref(f"https://x.example/r.git{query}")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("query", "keep", "checksum", "keeps", "checked"),
    [
        ("", None, "", None, ""),
        ("", True, SHA, True, SHA),
        (f"?checksum={SHA}", None, "", None, SHA),
        (f"?checksum={SHA}", None, SHA, None, SHA),
        ("?keep-git-dir=1", None, "", True, ""),
        ("?keep-git-dir=0", False, "", False, ""),
    ],
)
def test_what_one_address_says_holds_for_the_next(
    query: str, keep: bool | None, checksum: str, keeps: bool | None, checked: str
) -> None:
    state, *holds = add_git(repository(query), keep, checksum, "n")
    assert holds == [keeps, checked]
    (source,) = llb.source_ops(state.marshal())
    assert source.attrs.get("git.keepgitdir", "") == ("true" if keeps else "")
    assert source.attrs.get("git.checksum", "") == checked


@pytest.mark.parametrize(
    ("query", "keep", "checksum", "message"),
    [
        (f"?checksum={SHA}", None, OTHER, f'checksum mismatch "{OTHER}" != "{SHA}"'),
        ("?keep-git-dir=1", False, "", "inconsistent keep-git-dir configuration"),
        ("?keep-git-dir=0", True, "", "inconsistent keep-git-dir configuration"),
    ],
)
def test_what_does_not_agree(query: str, keep: bool | None, checksum: str, message: str) -> None:
    with pytest.raises(CrozeError, match=f"^{message}$"):
        add_git(repository(query), keep, checksum, "n")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.example/a/b.tar?c=d#e", "b.tar"),
        ("https://x.example/a/", "a"),
        ("https://x.example/", "__unnamed__"),
        ("https://x.example", "__unnamed__"),
        ("https://x.example/.", "__unnamed__"),
        ("https://[", "__unnamed__"),
    ],
)
def test_the_name_of_a_download(url: str, name: str) -> None:
    assert url_filename(url) == name
