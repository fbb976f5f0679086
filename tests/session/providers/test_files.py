"""Directories that a client lends by sending them."""

from __future__ import annotations

from pathlib import Path

from croze.fs.entry import Entry
from croze.fs.sync.receive import Receiver
from croze.session.filesync import DirRequest, receive_dir
from croze.session.providers.files import FilesProvider, LentDir
from tests.fs import trees
from tests.session.conftest import Lend


class Swapping(Receiver):
    """Has a directory replaced by a link when it has heard of what is in there."""

    def __init__(self, dest: Path, folder: Path, outside: Path) -> None:
        super().__init__(str(dest))
        self._folder, self._outside = folder, outside

    def stat(self, entry: Entry, packet: bytes = b"") -> int | None:
        if entry.path == "d/e/f":
            self._folder.rename(self._outside.with_name("away"))
            self._folder.symlink_to(self._outside)
        return super().stat(entry, packet)


async def test_links_put_in_meanwhile_lead_nowhere(lending: Lend, tmp_path: Path) -> None:
    """Others may write to what a client builds; it may be root's, who may read everything."""
    for swapped, inside in (("d", "e/f"), ("d/e", "f")):
        place = tmp_path / swapped.replace("/", "-")
        trees.make(place, {"lent/d/e/f": "public", f"outside/{inside}": "secret"})
        (place / "dest").mkdir()
        provider = FilesProvider({"context": LentDir(place / "lent")})
        async with lending([provider]) as session:
            sink = Swapping(place / "dest", place / "lent" / swapped, place / "outside")
            await receive_dir(session, DirRequest("context"), sink)
        assert (place / "dest/d/e/f").read_text() == ""
