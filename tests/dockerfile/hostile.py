"""Dockerfiles of all that a fuzzer may put into them."""

from __future__ import annotations

import os

from hypothesis import strategies as st

FACTOR = int(os.environ.get("CROZE_FUZZ", "1"))


WORDS = (
    *("a", "/b", "b/../c", ".", "*", "**/x", "$A", "${A:-b}", "${A#*}", "${A//a/b}", "${A:?m}"),
    *(
        "<<EOF",
        "<<-'EOF'",
        '<<"E F"',
        "3<<X",
        '"q w"',
        "'s'",
        "\\",
        "A=1",
        'B="$A"',
        "=",
        "é",
        "\t",
    ),
    *(
        '["a", "b"]',
        "[",
        "scratch",
        "alpine",
        "one",
        "0",
        "1.5",
        "80/tcp",
        "1-3",
        "root:0",
        "@",
        "&",
    ),
    *(
        "http://h/f",
        "https://h/r.git#a:b",
        "git@h:r?ref=x",
        "sha256:00",
        "linux/arm64",
        "5s",
        "NONE",
    ),
)


FLAGS = (
    *(
        "--from=one",
        "--from=0",
        "--chown=a:b",
        "--chmod=u=rwX",
        "--chmod=777",
        "--link",
        "--parents",
    ),
    *("--exclude=*", "--checksum=sha256:0", "--keep-git-dir=true", "--unpack", "--network=none"),
    *("--mount=type=bind,target=/x,from=one", "--mount=type=cache,id=$A,target=c,sharing=locked"),
    *("--mount=type=secret,id=s,env=E", "--mount=type=ssh", "--mount=type=tmpfs,target=/t,size=1"),
    *(
        "--mount=",
        "--mount=type=,a",
        "--security=insecure",
        "--platform=$BUILDPLATFORM",
        "--device=d",
    ),
    *("--interval=1s", "--retries=2", "--", "--unknown", "--link=maybe"),
)


KEYWORDS = (
    *("FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "CMD", "ENTRYPOINT", "EXPOSE", "VOLUME"),
    *("USER", "WORKDIR", "ONBUILD", "ONBUILD RUN", "ONBUILD COPY", "STOPSIGNAL", "HEALTHCHECK"),
    *("HEALTHCHECK CMD", "SHELL", "MAINTAINER", "run", "FROMM"),
)


LINE = st.builds(
    lambda keyword, flags, words, end: " ".join([keyword, *flags, *words]) + end,
    st.sampled_from(KEYWORDS),
    st.lists(st.sampled_from(FLAGS), max_size=2),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=4),
    st.sampled_from(
        ["\n", "\n", "\n", "\\\n", "\r\n", "\nEOF\n", "\nx $A\nEOF\n", "\n# c\n", "\n\n"]
    ),
)


HEAD = st.sampled_from(
    [
        *("", "# syntax=docker/dockerfile:1-labs\n", "# escape=`\n", "# check=error=true\n"),
        *("ARG A=b\n", "ARG A=b\nFROM alpine AS one\nRUN x\n", "FROM alpine AS one\n"),
    ]
)


def options(request: str) -> dict[str, str]:
    return {"requestid": request, "frontend.caps": "moby.buildkit.frontend.subrequests"}
