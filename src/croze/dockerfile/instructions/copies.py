"""COPY and ADD."""

from __future__ import annotations

from croze.dockerfile.heredoc import chomp, find_heredoc, is_heredoc
from croze.dockerfile.instructions.flags import parse_flags
from croze.dockerfile.instructions.header import header
from croze.dockerfile.instructions.values import Add, Copy, InlineFile, SourcesAndDest
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.syntax_tree import InstructionNode


def parse_copy(node: InstructionNode) -> Copy:
    """Read a COPY. Raises `DockerfileError`."""
    _check_count("COPY", node)
    flags = parse_flags(
        node.flags,
        values=("chown", "from", "chmod"),
        switches=("link", "parents"),
        lists=("exclude",),
    )
    return Copy(
        **header(node),
        files=_files("COPY", node),
        from_=flags.values.get("from", ""),
        chown=flags.values.get("chown", ""),
        chmod=flags.values.get("chmod", ""),
        link=flags.switches.get("link", False),
        parents=flags.switches.get("parents", False),
        excludes=flags.list("exclude"),
    )


def parse_add(node: InstructionNode) -> Add:
    """Read an ADD; `keep_git_dir` and `unpack` are None if not given. Raises `DockerfileError`."""
    _check_count("ADD", node)
    flags = parse_flags(
        node.flags,
        values=("chown", "chmod", "checksum"),
        switches=("link", "keep-git-dir", "unpack"),
        lists=("exclude",),
    )
    return Add(
        **header(node),
        files=_files("ADD", node),
        chown=flags.values.get("chown", ""),
        chmod=flags.values.get("chmod", ""),
        checksum=flags.values.get("checksum", ""),
        link=flags.switches.get("link", False),
        keep_git_dir=flags.switches.get("keep-git-dir"),
        unpack=flags.switches.get("unpack"),
        excludes=flags.list("exclude"),
    )


def _check_count(keyword: str, node: InstructionNode) -> None:
    if len(node.args) < 2:
        raise DockerfileError(
            f"{keyword} requires at least two arguments, but only one was provided."
            " Destination could not be determined"
        )


def _files(keyword: str, node: InstructionNode) -> SourcesAndDest:
    *sources, dest = node.args
    if is_heredoc(dest):
        raise DockerfileError(f"{keyword} cannot accept a heredoc as a destination")
    bodies = {doc.name: doc.content for doc in node.heredocs}
    paths: list[str] = []
    contents: list[InlineFile] = []
    for source in sources:
        doc = find_heredoc(source)
        if doc is None:
            paths.append(source)
            continue
        body = bodies.get(doc.name, "")
        contents.append(InlineFile(doc.name, chomp(body) if doc.chomp else body, doc.expand))
    return SourcesAndDest(dest, tuple(paths), tuple(contents))
