"""What tests install with apk, in the image that stands for Alpine's: programs of this machine."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from croze.fs.temporary import temporary_directory
from tests.e2e.python_root import copy_libraries

_PROGRAMS = {
    "curl": ("curl",),
    "e2fsprogs": ("mkfs.ext4",),
    "git": ("git",),
    "openssh": ("ssh-add", "ssh-keygen"),
    "openssh-client-default": ("ssh-add",),
}
_SCRIPTS = {
    "ssh": "#!/bin/sh\n# Nobody can be reached, but the agent is asked, no faster.\n"
    "sleep 1\nexec ssh-add -l\n",
    "ssh-keyscan": "#!/bin/sh\n",
}
_APK = """\
#!/bin/sh
# What can be installed is there from the start.
command=$1
shift
for name; do
  case "$name" in
    -* | {names}) ;;
    *) echo "ERROR: unable to select packages: $name (no such package)" >&2; exit 1 ;;
  esac
done
case "$command" in add | update) ;; *) exit 127 ;; esac
"""


def add_packages(archive: tarfile.TarFile) -> bytes:
    """Put the programs into this archive, with the libraries that they need. Returns the `apk`
    that installs those which the machine has."""
    paths = {word: shutil.which(word) for words in _PROGRAMS.values() for word in words}
    names = [name for name, words in _PROGRAMS.items() if all(paths[word] for word in words)]
    found = {word: Path(path) for word, path in paths.items() if path}
    with temporary_directory("packages") as name:
        root = Path(name)
        (root / "usr/bin").mkdir(parents=True)
        for word, path in found.items():
            shutil.copy2(path, root / "usr/bin" / word)
        for word, script in _SCRIPTS.items():
            (root / "usr/bin" / word).write_text(script)
            (root / "usr/bin" / word).chmod(0o755)
        copy_libraries(root, found.values())
        present = set(archive.getnames())
        for path in sorted(root.rglob("*")):
            relative = str(path.relative_to(root))
            if relative not in present:
                archive.add(path, relative, recursive=False, filter=_of_root)
    return _APK.format(names=" | ".join(names) or "none").encode()


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info
