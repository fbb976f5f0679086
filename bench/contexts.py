"""Contexts that are built, and what changes in them between two builds."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from croze import llb

BUSYBOX = "/bin/busybox"
SHELL = f"""\
FROM scratch AS base
COPY busybox {BUSYBOX}
SHELL ["{BUSYBOX}", "sh", "-c"]
"""


def _base(folder: Path) -> None:
    found = shutil.which("busybox")
    if found is None:
        raise FileNotFoundError("busybox-static is needed: make setup-test")
    shutil.copy(Path(found).resolve(), folder / "busybox")


def five_stages(folder: Path) -> None:
    """A 300-file app: three stages in parallel, one that joins them, a small final one."""
    _base(folder)
    for index in range(300):
        part = folder / "app" / f"part{index % 3}" / f"file{index}.txt"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(f"file {index}\n" * 50)
    lines = [SHELL]
    for part_number in range(3):
        lines.append(f"FROM base AS part{part_number}\nCOPY app/part{part_number} /src\n")
        lines.append(f"RUN {BUSYBOX} mkdir /out && {BUSYBOX} cat /src/* > /out/all\n")
    lines.append("FROM base AS join\n")
    lines += [f"COPY --from=part{n} /out/all /all{n}\n" for n in range(3)]
    lines.append(f"RUN {BUSYBOX} cat /all0 /all1 /all2 > /all\n")
    lines.append("FROM scratch\nCOPY --from=join /all /all\n")
    (folder / "Dockerfile").write_text("".join(lines))


def runs(folder: Path, count: int) -> None:
    """RUNs in a row, each a layer."""
    _base(folder)
    steps = "".join(f"RUN echo {n} > /{n}\n" for n in range(count))
    (folder / "Dockerfile").write_text(SHELL.replace(" AS base", "") + steps)


def parallel_stages(folder: Path, count: int) -> None:
    """Stages of one RUN each, which have nothing to do with one another, and one that wants all."""
    _base(folder)
    stages = [f"FROM base AS s{n}\nRUN echo {n} > /out\n" for n in range(count)]
    copies = [f"COPY --from=s{n} /out /{n}\n" for n in range(count)]
    (folder / "Dockerfile").write_text("".join([SHELL, *stages, "FROM scratch\n", *copies]))


def small_files(folder: Path, count: int) -> None:
    """Files of some kilobytes, 100 in a directory."""
    for index in range(count):
        target = folder / "src" / f"d{index // 100}" / f"f{index}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"content of {index}\n" * 400)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")


def large_files(folder: Path, megabytes: int) -> None:
    """Four files that compress to about half."""
    folder.joinpath("big").mkdir(parents=True)
    chance = random.Random(4)
    for number in range(4):
        with open(folder / "big" / str(number), "wb") as file:
            for _ in range(megabytes // 4):
                file.write(chance.randbytes(512 << 10))
                file.write(b"compresses well\n" * (512 << 6))
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY big /big\n")


def long_dockerfile(folder: Path, lines: int) -> None:
    """Mostly what makes no layers."""
    text = "".join(f"ARG A{n}=value\nLABEL l{n}=$A{n}\n" for n in range(lines // 2))
    (folder / "Dockerfile").write_text(f"FROM scratch\n{text}COPY Dockerfile /\n")


GRAPH = "graph.pb"
_ROW = 10


def graph(folder: Path, vertices: int) -> None:
    """A definition: rows of small files, each made on the one before, and one step that takes a
    file from each row."""
    rows = []
    for row in range(max(1, vertices // _ROW)):
        state = llb.scratch()
        for number in range(_ROW - 1):
            state = state.file(llb.mkfile(f"/{row}-{number}", "x"))
        rows.append(llb.copy(state, f"/{row}-0", "/"))
    action = rows[0]
    for each in rows[1:]:
        action = action.then(each)
    definition = llb.scratch().file(action).marshal()
    (folder / GRAPH).write_bytes(definition.SerializeToString())


def on_image(folder: Path, image: str) -> None:
    """A build that needs all of an image in a registry."""
    _base(folder)
    text = f"FROM {image}\nCOPY busybox {BUSYBOX}\n"
    (folder / "Dockerfile").write_text(f'{text}RUN ["{BUSYBOX}", "ls", "/"]\n')
