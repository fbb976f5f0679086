"""A machine that builds with cache mounts, and what lies beside a cache, wherever that is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.app import base
from tests.e2e.sandbox import Done, Sandbox
from tests.support.clouds import asked


def pair(kind: str, machine: Machine, registry: str) -> tuple[str, str]:
    """The values of `--cache-to` and `--cache-from`."""
    name = machine.context.name.lower()
    folder = machine.sandbox.path / f"cache-{name}"
    match kind:
        case "local":
            return f"type=local,dest={folder}", f"type=local,src={folder}"
        case "local-index":
            return (
                f"type=local,dest={folder},image-manifest=false,tag=v1",
                f"type=local,src={folder},tag=v1",
            )
    ref = f"type=registry,ref={registry}/mounts/{name}"
    return f"{ref},mode=max", ref


APP = """\
FROM base AS tool
ARG STEP=1
RUN --mount=type=cache,id=tool,target=/cache \
    ls /cache > /seen && echo $STEP > /cache/step$STEP && cp /cache/step$STEP /cache/last
FROM base AS owned
ARG STEP=1
RUN --mount=type=cache,target=/home/me/.cache,uid=1000,gid=1000,mode=0700,sharing=locked \
    ls -ln /home/me/.cache > /owned && echo $STEP > /home/me/.cache/step$STEP \
    && stat -c '%u:%g:%a' /home/me/.cache > /owner
FROM base
COPY --from=tool /seen /seen
COPY --from=owned /owned /owner /
"""


COLD = ("prune", "--all", "--force")


@dataclass
class Machine:
    """A daemon; `cold` makes it another one that knows nothing."""

    sandbox: Sandbox
    busybox: Path
    context: Path
    builds: int = 0
    log: str = ""

    def build(self, step: int, *flags: str, client: str = "croze", check: bool = True) -> Done:
        self.builds += 1
        words: list[str | Path] = ["build", *base(self.busybox), "--progress=plain"]
        words += ["--build-arg", f"STEP={step}", "-o", f"type=local,dest={self.out}", *flags]
        run = self.sandbox.croze if client == "croze" else None
        words.append(self.context)
        done = (
            run(*words, check=check)
            if run is not None
            else self.sandbox.buildx(client, *words, check=check)
        )
        self.log = done.stderr
        return done

    @property
    def out(self) -> Path:
        return self.sandbox.path / f"out{self.builds}"

    @property
    def seen(self) -> list[str]:
        return (self.out / "seen").read_text().split()

    @property
    def owned(self) -> str:
        return (self.out / "owned").read_text()

    def cold(self) -> None:
        self.sandbox.croze(*COLD)

    def moved(self, what: str, name: str = "tool") -> list[int]:
        """The numbers in what the log says was exported or imported."""
        line = re.search(rf"{what} cache mount {re.escape(name)}: (.*)", self.log)
        assert line is not None, self.log
        return [int(number) for number in re.findall(r"\d+", line[1])]


def pack_of(registry: str, name: str) -> str:
    """The digest of the one pack beside a cache."""
    repository, _, tag = name.partition(":")
    kinds = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    url = f"http://{registry}/v2/{repository}/manifests/{tag}"
    layers = beside(json.loads(asked(url, headers=kinds)[1])["layers"])
    (pack,) = [each["digest"] for each in layers if ".pack." in each["mediaType"]]
    return pack


def blobs_by_kind(layout: Path) -> dict[str, list[Path]]:
    """What lies beside a cache in a layout, by kind."""
    found: dict[str, list[Path]] = {}
    blobs = layout / "blobs/sha256"
    for entry in json.loads((layout / "index.json").read_text())["manifests"]:
        manifest = json.loads((blobs / entry["digest"][7:]).read_text())
        for layer in beside(manifest["layers"]):
            kind = layer["mediaType"].removeprefix("application/vnd.croze.").split(".")
            name = kind[1] if kind[0] == "cachemount" else kind[0]
            found.setdefault(name, []).append(blobs / layer["digest"][7:])
    return found


def beside(layers: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    return [each for each in layers if each["mediaType"].startswith("application/vnd.croze.")]


def machine_for(test: str, desk: Sandbox, busybox: Path) -> Machine:
    """One that knows nothing yet."""
    name = re.sub(r"\W+", "-", test).strip("-")
    machine = Machine(desk, busybox, desk.context(name, {"Dockerfile": APP}))
    machine.cold()
    return machine
