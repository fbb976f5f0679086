"""Files put in place, which are what a transfer would make of them."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.export.place import place_tree
from croze.export.trees import MergedTree, StaticFile, TreePart
from croze.fs.sync.receive import Receiver
from croze.fs.sync.send import Sender
from croze.fs.tar.write import write_trees
from tests.fs import trees

STATIC = (("d/a", b"other", 0o600), ("provenance.json", b"{}", 0o644))
SEEN_NS, OLD_NS = 1_577_934_245_000_000_000, 1_400_000_000_000_000_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    files: trees.Tree = {"a": "1" * 100_000, "d/a": "2", "d/e/f": "3", "l": ("->", "/etc"), "x": ""}
    made = trees.make(tmp_path / "source", {**files, "d/l": ("->", "../l")})
    os.link(made / "a", made / "d/hard")
    os.mkfifo(made / "fifo", 0o640)
    os.link(made / "fifo", made / "d/fifo")
    (made / "a").chmod(0o4711)
    (made / "d/e").chmod(0o711)
    _set_times(made, SEEN_NS)
    return made


def there(folder: Path) -> Path:
    """What the client has had there before."""
    old: trees.Tree = {
        **{f"{top}{name}": "old" for top in ("", "linux_amd64/") for name in ("l", "d/e/f", "d/k")},
        "x": ("->", "/etc/passwd"),
        "a/was/a/directory": "old",
        "mine": "kept",
    }
    made = trees.make(folder, old)
    (made / "d").chmod(0o700)
    os.link(made / "l", made / "l2")
    _set_times(made, OLD_NS)
    return made


def _set_times(folder: Path, time_ns: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


def transfer(source: Path, dest: Path, folder: str, files: Sequence[StaticFile]) -> None:
    part = TreePart("", Sender(str(source)), files, folder, None)
    tree, receiver = MergedTree([part], mtime_ns=SEEN_NS), Receiver(
        str(dest), merge=True, owner=(os.geteuid(), os.getegid())
    )  # fmt: skip
    numbers = [receiver.stat(entry) for entry in tree.entries()]
    for number in numbers:
        if number is not None:
            for chunk in tree.chunks(number):
                receiver.data(number, chunk)
            receiver.end(number)
    receiver.finish()


def seen(folder: Path, *static: str) -> list[object]:
    """All but the times of what has none, or the present one."""
    found: list[object] = [trees.read(folder)]
    for path in sorted(folder.rglob("*")):
        name, status = str(path.relative_to(folder)), path.lstat()
        is_now = name in static or status.st_mtime_ns > SEEN_NS
        time_ns = 0 if is_now else status.st_mtime_ns
        found.append((name, status.st_mode, status.st_uid, status.st_nlink, time_ns))
    return found


@pytest.mark.parametrize("folder", ["", "linux_amd64"])
@pytest.mark.parametrize("files", [(), STATIC])
def test_as_a_transfer(
    tmp_path: Path, source: Path, folder: str, files: tuple[tuple[str, bytes, int], ...]
) -> None:
    """Also over what was there, which is replaced and never followed, or stays."""
    placed, sent = there(tmp_path / "placed"), there(tmp_path / "sent")
    place_tree(str(source), str(placed), folder, files, None)
    transfer(source, sent, folder, [StaticFile(*each) for each in files])
    static = [str(Path(folder, name)) for name, _, _ in files]
    assert seen(placed, *static) == seen(sent, *static)
    top = placed / folder
    assert stat.S_IMODE((top / "a").stat().st_mode) == 0o4711
    assert os.readlink(top / "l") == (f"/{folder}/etc" if folder else "/etc")
    assert os.readlink(top / "d/l") == "../l"
    assert (top / "fifo").is_fifo()
    assert (placed / "mine").read_text() == "kept"
    assert (placed / "l2").read_text() == "old"


def test_one_time_for_all(tmp_path: Path, source: Path) -> None:
    dest = trees.make(tmp_path / "dest", {})
    place_tree(str(source), str(dest), "linux_amd64", STATIC, 7)
    assert {path.lstat().st_mtime_ns for path in dest.rglob("*")} == {7}


@pytest.mark.parametrize(
    ("folder", "file"), [("", ".."), ("", "."), ("..", "a"), ("", "../kept"), ("linux_amd64", "..")]
)
def test_nothing_is_named_for_what_is_above(tmp_path: Path, folder: str, file: str) -> None:
    """Frontends choose the names of platforms and of what they attest."""
    source = trees.make(tmp_path / "source", {"a": "1"})
    home = trees.make(tmp_path / "home", {"kept": "precious", "out/kept": "precious"})
    home.chmod(0o700)
    with pytest.raises(InvalidRequest, match="invalid path below a directory"):
        place_tree(str(source), str(home / "out"), folder, [(file, b"stolen", 0o600)], None)
    tree = trees.read(home)
    assert {tree["kept"], tree["out/kept"]} == {"precious"}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_in_a_tar(tmp_path: Path, source: Path) -> None:
    write_trees(str(tmp_path / "tar"), [("linux_amd64", str(source))])
    with tarfile.open(tmp_path / "tar") as tar:
        links = {each.name: (each.linkname, each.type) for each in tar if each.linkname}
    assert links == {
        "linux_amd64/d/hard": ("linux_amd64/a", tarfile.LNKTYPE),
        "linux_amd64/d/l": ("../l", tarfile.SYMTYPE),
        "linux_amd64/fifo": ("linux_amd64/d/fifo", tarfile.LNKTYPE),
        "linux_amd64/l": ("/linux_amd64/etc", tarfile.SYMTYPE),
    }
