"""What the suites can do without, and leave tests out for: keys to sign with, networks of CNI's, a
Docker engine for builders in containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from tests.e2e import images
from tests.e2e.dockerd import narrowed_runtime
from tests.e2e.python_root import copy_libraries
from tests.suites.mirror import files_layer

_FRONTEND_LABELS = {
    "moby.buildkit.frontend.network.none": "true",
    "moby.buildkit.frontend.caps": "moby.buildkit.frontend.inputs,"
    "moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts,"
    "moby.buildkit.frontend.gitquerystring",
}
_SSH_SIGNING = """\
[gpg]
	format = ssh
[user]
	signingkey = {key}
	name = Test Git {user}
	email = {user}@example.com
[commit]
	gpgsign = true
"""
"""What signs with any git: BuildKit's own way, a program in place of ssh-keygen, asks for 2.40."""
_SCRIPTS = "hack/fixtures"
"""Where BuildKit's sources have what makes keys, and the configurations of networks."""
_APART = """\
set -e
ip link set lo up
ip link add outside type bridge
ip address add 192.0.2.1/24 dev outside
ip link set outside up
ip route add default via 192.0.2.2
mount -t tmpfs tmpfs /opt
mkdir /opt/cni
ln -s /usr/lib/cni /opt/cni/bin
if [ -n "$1" ]; then
  mount -t tmpfs tmpfs /etc/buildkit
  cp "$1"/*cni* /etc/buildkit/
fi
shift
exec "$@"
"""
"""With an address that is not the loopback's, which is the host's to the tests. Debian has the
plugins where BuildKit does not look for them."""


def apart(configs: Path | None) -> list[str]:
    """The words before a command that has networks and mounts of its own, and the networks of
    `configs`, if any."""
    if configs is not None:
        Path("/etc/buildkit").mkdir(exist_ok=True)
    return ["unshare", "--mount", "--net", "sh", "-c", _APART, "apart", str(configs or "")]


def fixtures(sources: Path) -> Path | None:
    """BuildKit's scripts and configurations for tests, if this is the folder of one of its
    packages."""
    found = [place / _SCRIPTS for place in sources.resolve().parents]
    return next((folder for folder in found if (folder / "cni.json").is_file()), None)


def signing_keys(scripts: Path, folder: Path) -> Mapping[str, str]:
    """Keys and signatures of two users below `folder`, and how the tests hear of them."""
    folder.mkdir()
    found = {"BUILDKIT_TEST_SIGN_FIXTURES": str(folder)}
    for kind in ("gpg", "ssh"):
        for user in ("user1", "user2"):
            command = ["sh", str(scripts / f"gen_{kind}_test_env.sh"), user]
            env = {**os.environ, **found}
            subprocess.run(command, env=env, check=True, capture_output=True)
    for user in ("user1", "user2"):
        settings = _SSH_SIGNING.format(user=user, key=folder / ".ssh" / f"{user}.id_ed25519")
        (folder / f"{user}.ssh.gitconfig").write_text(settings)
    return found


def engine_flags(folder: Path) -> Mapping[str, str]:
    """The suite's workers on dockerd, which touches no firewall."""
    folder.mkdir()
    flags = ["--iptables=false", "--ip6tables=false", "--bridge=none", *narrowed_runtime(folder)]
    return {
        "TEST_DOCKERD": "1",
        "BUILDKIT_INTEGRATION_DOCKERD_FLAGS": "\n".join(map(str, flags)),
    }


def frontend_image(program: Path, folder: Path) -> Mapping[str, str]:
    """An image of BuildKit's Dockerfile frontend, for the suite that runs on it alone."""
    root, layout = folder / "root", folder / "layout"
    (root / "bin").mkdir(parents=True)
    shutil.copy2(program, root / "bin/dockerfile-frontend")
    config: dict[str, object] = {
        "Entrypoint": ["/bin/dockerfile-frontend"],
        "Labels": _FRONTEND_LABELS,
    }
    images.write_layout(layout, [files_layer(root)], config)
    with tarfile.open(folder / "image.tar", "w") as archive:
        archive.add(layout, "")
    return {"FRONTEND_GATEWAY_ONLY": f"local:{folder}/image.tar"}


def daemon_root(buildkitd: Path, folder: Path) -> Path:
    """The files of an image of this daemon, beside those of busybox, below `folder`."""
    root = folder / "daemon"
    programs = root / "usr/bin"
    programs.mkdir(parents=True)
    for program in (buildkitd, buildkitd.with_name("buildctl"), Path(shutil.which("runc") or "")):
        shutil.copy2(program, programs)
    copy_libraries(root, programs.iterdir())
    return root
