"""Keys and signatures made by GnuPG and OpenSSH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


class GnuPG:
    """A key ring of its own. Close it: GnuPG leaves an agent running."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(mode=0o700)

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home), "LC_ALL": "C"}

    def run(self, *args: str, data: bytes = b"") -> bytes:
        command = ["gpg", "--batch", "--yes", "--quiet", "--pinentry-mode=loopback"]
        command += ["--passphrase=", *args]
        done = subprocess.run(command, input=data, capture_output=True, env=self.environment)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def key(
        self, user: str, algorithm: str = "ed25519", expires: str = "never", now: str = ""
    ) -> bytes:
        """Make a key; its armoured public part."""
        clock = [f"--faked-system-time={now}"] if now else []
        self.run(*clock, "--quick-generate-key", user, algorithm, "sign,cert", expires)
        return self.export(user)

    def export(self, user: str) -> bytes:
        return self.run("--armor", "--export", user)

    def sign(self, user: str, data: bytes, *options: str) -> bytes:
        """An armoured detached signature."""
        kind = () if "--textmode" in options else ("--detach-sign",)
        return self.run("--armor", "--local-user", user, *options, *(kind or ("-b",)), data=data)

    def close(self) -> None:
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=True)


def ssh_key(folder: Path, kind: str, name: str = "id") -> Path:
    """The path of a new private key; the public one is beside it."""
    path = folder / f"{name}-{kind}"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "someone@here", "-f", path], check=True
    )
    return path


def ssh_sign(
    key: Path, data: bytes, *, namespace: str = "git", options: tuple[str, ...] = ()
) -> bytes:
    done = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", key, *options],
        input=data,
        capture_output=True,
        check=True,
    )
    return done.stdout
