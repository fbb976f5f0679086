"""The image that most tests build on, and the app that they build."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.sandbox import Sandbox

APP = """\
FROM base AS build
WORKDIR /src
COPY . .
RUN cat one two > /both
FROM base
COPY --from=build /both /both
ENV GREETING=hello
LABEL org.example.kind=test
CMD ["cat", "/both"]
"""


def app_context(sandbox: Sandbox) -> Path:
    """A folder with the app in it."""
    return sandbox.context("app", {"Dockerfile": APP, "one": "1\n", "two": "2\n"})


def base(layout: Path) -> list[str]:
    """The flag that makes `FROM base` the busybox image."""
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    return ["--build-context", f"base=oci-layout://{layout}@{digest}"]
