"""Croze's own image, built by Croze from the repository's Dockerfile.

The stages that install packages are replaced by what this machine has installed: the same Python,
the same packages, crun and busybox. What is left of the Dockerfile is what the image adds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from croze.drivers.container import OWN_IMAGE
from tests.e2e import images
from tests.e2e.python_root import VERSION, copy_libraries, make_python
from tests.e2e.sandbox import REPO, Sandbox

TAG = OWN_IMAGE
SCRIPT = """\
#!/usr/bin/python3
import sys
sys.path.insert(0, "/opt/croze/lib/{version}/site-packages")
from {module} import main
sys.exit(main())
"""


def build(sandbox: Sandbox, folder: Path, archive: Path) -> Path:
    """An archive for `docker load`, of an image named `TAG`."""
    layout = folder / "layout"
    base = sandbox.context("own-image-base", {"Dockerfile": "FROM scratch\nCOPY --from=root . /\n"})
    packages = _packages(folder / "packages")
    root = f"--build-context=root={_system(folder / 'system', packages)}"
    out = f"type=oci,tar=false,compression=uncompressed,dest={layout}"
    sandbox.croze("build", root, "-o", out, base)
    flags = [f"--build-context=system=oci-layout://{layout}"]
    flags += [f"--build-context=packages={packages}"]
    out = f"type=docker,compression=uncompressed,dest={archive}"
    sandbox.croze("build", *flags, "-t", TAG, "-o", out, REPO)
    return archive


def _system(root: Path, packages: Path) -> Path:
    make_python(root)
    for name in ("crun", "busybox"):
        _put(Path(str(shutil.which(name))), root / "usr/bin" / name)
    _put(Path("/etc/ssl/certs/ca-certificates.crt"), root / "etc/ssl/certs/ca-certificates.crt")
    for folder in ("bin", "proc", "sys", "dev", "run", "usr/local/bin", "var/lib", "root"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for applet in images.APPLETS.split():
        if not (root / "usr/bin" / applet).exists():
            (root / "bin" / applet).symlink_to("/usr/bin/busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    copy_libraries(root, [root / "usr/bin/crun", *packages.rglob("*.so*")])
    return root


def _packages(root: Path) -> Path:
    home = root / "opt/croze"
    site = home / "lib" / VERSION / "site-packages"
    for name in sorted(_needed("croze")):
        for file in distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.is_file():
                _put(source, site / str(file))
    shutil.copytree(REPO / "src/croze", site / "croze")
    for name, module in (("croze", "croze.cli.thin"), ("crozed", "croze.daemon.main")):
        script = home / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(SCRIPT.format(version=VERSION, module=module))
        script.chmod(0o755)
    return root


def _needed(name: str) -> set[str]:
    """The distributions that one needs, and they in turn; not itself."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for needed in _requirements(ahead.pop()):
            if needed not in found:
                found.add(needed)
                ahead.append(needed)
    return found


def _requirements(name: str) -> Iterator[str]:
    for line in distribution(name).requires or ():
        requirement, _, marker = line.partition(";")
        needed = "".join(requirement.split("[")[0]).strip()
        for mark in "<>=!~ (":
            needed = needed.partition(mark)[0]
        if "extra ==" in marker:
            continue
        try:
            distribution(needed)
        except PackageNotFoundError:  # of another Python or system
            continue
        yield needed


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
