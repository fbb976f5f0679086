"""Keys of file ops that are remembered."""

from __future__ import annotations

from croze.api import ops_pb2
from croze.cachekeys import texts
from croze.ops import file_keys
from croze.ops.content import ContentDigests
from croze.ops.file_keys import cache_map


def copies(path: str) -> ops_pb2.FileOp:
    copy = ops_pb2.FileActionCopy(src=path, dest="/")
    return ops_pb2.FileOp(actions=[ops_pb2.FileAction(secondaryInput=1, output=0, copy=copy)])


def test_what_is_known_is_told_again_to_those_who_note_texts(contents: ContentDigests) -> None:
    told: list[str] = []
    key = cache_map(copies("/told"), 2, contents)
    with texts.noting(lambda digest, _: told.append(digest)):
        assert cache_map(copies("/told"), 2, contents).digest == key.digest
    assert {key.digest, key.inputs[1].selector} <= set(told)


def test_a_key_is_that_of_one_number_of_inputs(contents: ContentDigests) -> None:
    """A copy from what is no input of its own is one of what an action has made."""
    two, one = (cache_map(copies("/from/here"), count, contents) for count in (2, 1))
    assert [each.selector != "" for each in two.inputs] == [False, True]
    assert [each.selector != "" for each in one.inputs] == [False]


def test_small_ops_with_many_inputs_are_not_remembered(contents: ContentDigests) -> None:
    before = file_keys._known.cache_info().currsize
    assert len(cache_map(copies("/of/many"), 9_999, contents).inputs) == 9_999
    assert file_keys._known.cache_info().currsize == before
