"""A worker whose daemon was killed."""

from __future__ import annotations

import socket

from croze.workers.inside import ParentLink
from croze.workers.messages import HEAD


def test_a_daemon_that_is_gone_says_nothing_more() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert ParentLink(ours).receive() is None


def test_nor_does_one_that_went_with_our_words_unread() -> None:
    """The kernel calls that a reset."""
    ours, theirs = socket.socketpair()
    with ours:
        link = ParentLink(ours)
        link.send(b"unread")
        theirs.close()
        assert link.receive() is None


def test_nor_does_one_that_went_in_the_middle_of_a_message() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(HEAD.pack(10, True) + b"half")
        theirs.close()
        assert ParentLink(ours).receive() is None
