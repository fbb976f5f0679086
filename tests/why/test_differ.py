"""What differs between two ops."""

from __future__ import annotations

from croze.api import ops_pb2
from croze.why.differ import Difference, differences


def file_op(*actions: ops_pb2.FileAction) -> bytes:
    return ops_pb2.Op(file=ops_pb2.FileOp(actions=actions)).SerializeToString()


MKDIR = ops_pb2.FileAction(mkdir=ops_pb2.FileActionMkDir(path="/a"))
MKFILE = ops_pb2.FileAction(mkfile=ops_pb2.FileActionMkFile(path="/a", data=b"1"))
OTHER = [Difference("instruction", "")]


def test_another_kind_of_action_is_another_instruction_and_no_more() -> None:
    assert differences(file_op(MKDIR), file_op(MKFILE)) == OTHER
    assert differences(file_op(MKFILE), file_op(MKDIR)) == OTHER
    assert differences(file_op(MKFILE), file_op(MKFILE, MKDIR)) == OTHER


def test_the_same_action_differs_in_what_it_says() -> None:
    changed = ops_pb2.FileAction(mkfile=ops_pb2.FileActionMkFile(path="/b", data=b"2"))
    assert sorted(differences(file_op(MKDIR, MKFILE), file_op(MKDIR, changed)), key=str) == [
        Difference("instruction", "path", "/a", "/b"),
        Difference("instruction", "the text of the file", "1", "2"),
    ]
