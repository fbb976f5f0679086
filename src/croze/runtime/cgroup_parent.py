"""Where below the machine's cgroups a container is put, as a client may say it.

What BuildKit makes of it (`executor/oci/spec.go`, and runc's cleaning of the path): `..` stops at
the root of the cgroups, whichever form it has.
"""

from __future__ import annotations

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.fs.paths import rooted

CGROUP_NAME = "buildkit"


class CgroupParent(Struct, frozen=True):
    """A path, or a systemd slice with a prefix (`x.slice:prefix:`); made by `parse`."""

    text: str = ""

    @classmethod
    def parse(cls, text: str) -> CgroupParent:
        """The parent that a client names. Raises `InvalidRequest` for what names no cgroup: a zero
        byte, an empty part."""
        if "\0" in text:
            raise InvalidRequest(f"invalid cgroup parent {text!r}: invalid argument")
        parent = cls(text)
        parts = text[:-1].split(":") if parent._is_slice else text.strip("/").split("/")
        if text.strip("/") and "" in parts:
            raise InvalidRequest(f"invalid cgroup parent {text!r}: it has an empty part")
        return parent

    @property
    def _is_slice(self) -> bool:
        return ".slice" in self.text and self.text.endswith(":")

    def path(self, id: str) -> str:
        """The cgroup of the container `id`, absolute and without `..`."""
        return rooted(self.text + id if self._is_slice else f"{self.text}/{CGROUP_NAME}/{id}")
