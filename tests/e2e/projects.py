"""Random projects: a Dockerfile of several stages, files, and edits that a cache may miss.

All that a step does follows from its inputs, so that two builds of one project must agree in
everything but times.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ("a", "b", "d/a", "d/b", "d/e/a", "x.txt", "y.txt")
FIRST_S = 1_000_000_000


@dataclass
class Stage:
    """`steps` are lines of the Dockerfile."""

    name: str
    base: str
    steps: list[str]


@dataclass
class Project:
    """One, below `folder`; `chance` decides everything. With `honest` each edit of a file shows in
    its size or its time, which is all that goes over the wire with stock clients."""

    folder: Path
    chance: random.Random
    honest: bool = False
    stages: list[Stage] = field(default_factory=list)
    moment: int = FIRST_S
    past: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        for name in NAMES:
            self._write(name)
        for number in range(self.chance.randint(2, 4)):
            self.stages.append(self._stage(number))
        self._save()

    # The Dockerfile

    def _stage(self, number: int) -> Stage:
        bases = ["base", *(stage.name for stage in self.stages)]
        made = Stage(f"s{number}", self.chance.choice(bases), [])
        made.steps = [self._step(made) for _ in range(self.chance.randint(2, 5))]
        return made

    def _step(self, stage: Stage) -> str:
        chance = self.chance
        name, other = chance.choice(NAMES), chance.choice(NAMES)
        earlier = [
            stage_before.name for stage_before in self.stages if stage_before.name < stage.name
        ]
        simple = [
            f"COPY {name} /w/{os.path.basename(other)}",
            "COPY d /w/d",
            "COPY *.txt /t/",
            "COPY . /all/",
            f"COPY --chmod={chance.choice(('600', '755'))} {name} /m/",
            f"COPY --exclude=**/{os.path.basename(name)} d /x/",
            f"ENV V={chance.randint(1, 3)}",
            f"WORKDIR /{chance.choice('wxyz')}",
            f"RUN echo {chance.randint(1, 3)} > /r{chance.randint(1, 2)}",
            "RUN mkdir -p /w && cat /w/* > /cat 2>/dev/null || true",
            "RUN find / -xdev -type f -path '/w*' | sort > /list",
            "RUN ls -l /t /m 2>/dev/null | awk '{print $1, $NF}' > /modes || true",
            f"RUN --mount=target=/c cat /c/{name} > /seen 2>/dev/null || true",
            "RUN --mount=target=/c,source=d find /c | sort > /names",
            "RUN rm -rf /w/d /t",
            "RUN touch /f && ln -f /f /hard && ln -sf f /soft",
            "RUN for f in /w/*; do test -f $f && ln -f $f $f.link; break; done; true",
            "RUN mkdir -p /mv && mv /w/a /mv/ 2>/dev/null || true",
            'RUN echo "$V" > /env',
        ]
        if earlier:
            simple += [
                f"COPY --from={chance.choice(earlier)} /bin/busybox /etc/ /taken/",
                f"RUN --mount=from={chance.choice(earlier)},target=/o find /o/w | sort > /theirs"
                " 2>/dev/null || true",
                f"COPY --from={chance.choice(earlier)} / /whole/",
            ]
        return chance.choice(simple)

    def _save(self) -> None:
        lines = []
        for stage in self.stages:
            lines += [f"FROM {stage.base} AS {stage.name}", *stage.steps]
        self._put("Dockerfile", "\n".join(lines) + "\n")

    # Files

    def _write(self, name: str) -> None:
        self._put(name, f"{self.chance.randint(0, 99):02}\n")

    def _put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.moment += 1
        os.utime(path, (self.moment, self.moment))

    def _files(self) -> list[Path]:
        return sorted(p for p in self.folder.rglob("*") if p.is_file() and p.name != "Dockerfile")

    def edit(self) -> str:
        """Do one thing; says which."""
        self.past.append(self._keep())
        edits: list[Callable[[], str]] = [
            *(self._change, self._rename, self._swap, self._remove, self._add, self._chmod),
            *(self._touch, self._step_changed, self._step_added, self._step_gone, self._revert),
        ]
        if not self.honest:
            edits += [self._change_in_secret] * 3
        return self.chance.choice(edits)()

    def _any(self) -> Path | None:
        files = self._files()
        return self.chance.choice(files) if files else None

    def _change(self) -> str:
        name = self.chance.choice(NAMES)
        if (self.folder / name).parent.is_dir():
            self._write(name)
        return f"change {name}"

    def _change_in_secret(self) -> str:
        """As long as before, and as old."""
        path = self._any()
        if path is not None:
            before = path.stat()
            path.write_text(f"{self.chance.randint(0, 99):02}\n")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return f"change {path} with its time restored"

    def _rename(self) -> str:
        path, name = self._any(), self.chance.choice(NAMES)
        target = self.folder / name
        if path is not None and target.parent.is_dir():
            path.rename(target)
            self._renew(target)
        return f"rename {path} to {name}"

    def _swap(self) -> str:
        one, two = self._any(), self._any()
        if one is not None and two is not None and one != two:
            aside = self.folder / "aside"
            one.rename(aside)
            two.rename(one)
            aside.rename(two)
            self._renew(one)
            self._renew(two)
        return f"swap {one} and {two}"

    def _renew(self, path: Path) -> None:
        if self.honest:
            self.moment += 1
            os.utime(path, (self.moment, self.moment))

    def _remove(self) -> str:
        path = self._any()
        if path is not None and len(self._files()) > 3:
            path.unlink()
        return f"remove {path}"

    def _add(self) -> str:
        name = self.chance.choice(("d/new", "new.txt", "n/e/w"))
        self._write(name)
        return f"add {name}"

    def _chmod(self) -> str:
        path = self._any()
        if path is not None:
            path.chmod(self.chance.choice((0o600, 0o644, 0o755)))
            self._renew(path)
        return f"chmod {path}"

    def _touch(self) -> str:
        path = self._any()
        if path is not None:
            self.moment += 1
            os.utime(path, (self.moment, self.moment))
        return f"touch {path}"

    def _step_changed(self) -> str:
        stage = self.chance.choice(self.stages)
        number = self.chance.randrange(len(stage.steps)) if stage.steps else 0
        stage.steps[number : number + 1] = [self._step(stage)]
        self._save()
        return f"step {number} of {stage.name} is now {stage.steps[number]}"

    def _step_added(self) -> str:
        stage = self.chance.choice(self.stages)
        stage.steps.insert(self.chance.randint(0, len(stage.steps)), self._step(stage))
        self._save()
        return f"one more step in {stage.name}"

    def _step_gone(self) -> str:
        stage = self.chance.choice(self.stages)
        if stage.steps:
            del stage.steps[self.chance.randrange(len(stage.steps))]
        self._save()
        return f"one step less in {stage.name}"

    def copy_to(self, target: Path) -> None:
        shutil.copytree(self.folder, target, symlinks=True)

    # Going back

    def _keep(self) -> Path:
        copy = self.folder.parent / f"{self.folder.name}.{len(self.past)}"
        self.copy_to(copy)
        return copy

    def _revert(self) -> str:
        """All files as they were, times included; steps are read from the Dockerfile again."""
        copy = self.chance.choice(self.past)
        present = {str(p.relative_to(self.folder)) for p in self._files()}
        wanted = {str(p.relative_to(copy)) for p in copy.rglob("*") if p.is_file()}
        for name in present - wanted:
            (self.folder / name).unlink()
        for name in sorted(wanted):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(copy / name, self.folder / name)
            self._renew(self.folder / name)
        self.stages = read_stages((self.folder / "Dockerfile").read_text().splitlines())
        return f"revert to {copy.name}"


def read_stages(lines: Sequence[str]) -> list[Stage]:
    stages: list[Stage] = []
    for line in lines:
        if line.startswith("FROM "):
            _, base, _, name = line.split()
            stages.append(Stage(name, base, []))
        else:
            stages[-1].steps.append(line)
    return stages
