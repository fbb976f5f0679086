"""What is measured: contexts and Dockerfiles, and the change between two builds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BUSYBOX = "/bin/busybox"
SHELL = f"""\
FROM scratch AS base
COPY busybox {BUSYBOX}
SHELL ["{BUSYBOX}", "sh", "-c"]
"""


@dataclass(frozen=True)
class Case:
    """`prepare` makes the context. With `cold` the cache is emptied before each build; `touch`
    changes something before each, told how many builds there were."""

    name: str
    prepare: Callable[[Path], None]
    cold: bool = False
    touch: Callable[[Path, int], None] | None = None


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


def forty_runs(folder: Path) -> None:
    """40 sequential RUNs."""
    _base(folder)
    runs = "".join(f"RUN echo {n} > /{n}\n" for n in range(40))
    (folder / "Dockerfile").write_text(SHELL.replace(" AS base", "") + runs)


def big_context(folder: Path) -> None:
    """20,000 small files."""
    for index in range(20_000):
        target = folder / "src" / f"d{index % 200}" / f"f{index}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"content of {index}\n")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY src /src\n")


def _change(relative: str) -> Callable[[Path, int], None]:
    def touch(folder: Path, count: int) -> None:
        (folder / relative).write_text(f"changed {count}\n")

    return touch


CASES = (
    Case("cold build, five stages, 300 files", five_stages, cold=True),
    Case("no-op rebuild", five_stages),
    Case("one file changed of 300", five_stages, touch=_change("app/part0/file0.txt")),
    Case("40 sequential RUNs, cold", forty_runs, cold=True),
    Case("20,000-file context, cold", big_context, cold=True),
    Case("20,000-file context, no-op", big_context),
    Case("20,000-file context, one changed", big_context, touch=_change("src/d0/f0")),
)
