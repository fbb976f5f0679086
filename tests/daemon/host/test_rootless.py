"""The ids of a user's namespace, and where the user's files go."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest

from croze.daemon.config.default_paths import DefaultPaths, user_places
from croze.daemon.host import rootless
from croze.errors import Unsupported


def test_ranges_by_name_and_number(tmp_path: Path) -> None:
    user = pwd.getpwuid(os.getuid())
    file = tmp_path / "subuid"
    file.write_text(
        f"other:1:2\n{user.pw_name}:100000:65536\n\nbroken\n{user.pw_uid}:300000:10\n#{user.pw_name}:1:1\n"
    )
    ranges = rootless.subordinate_ids(str(file))
    assert ranges == [(100000, 65536), (300000, 10)]
    words = " ".join(rootless._map(1000, ranges))
    assert words == "0 1000 1 1 100000 65536 65537 300000 10"


def test_a_user_without_subordinate_ids_is_told_what_to_add(tmp_path: Path) -> None:
    for text in ("", "other:1:2\n"):
        (tmp_path / "subuid").write_text(text)
        with pytest.raises(Unsupported, match=r"gives .* none: add a line such as"):
            rootless.subordinate_ids(str(tmp_path / "subuid"))


def test_the_environment_says_who_the_user_was() -> None:
    user = pwd.getpwuid(os.getuid())
    environ = {"XDG_RUNTIME_DIR": "/kept"}
    rootless.complete_environment(environ)
    assert environ == {"USER": user.pw_name, "HOME": user.pw_dir, "XDG_RUNTIME_DIR": "/kept"}


def test_help_needs_no_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "execv", lambda path, argv: started.append(path))
    monkeypatch.setattr(rootless, "enter_user_namespace", lambda: started.append("namespace"))
    rootless.become_root_of_a_namespace(["--addr", "x", "--help"])
    assert started == []
    rootless.become_root_of_a_namespace(["--addr", "x"])
    assert started == ["namespace", sys.executable]


def test_a_users_places() -> None:
    env = {"HOME": "/h", "XDG_DATA_HOME": "/d:/e", "XDG_CONFIG_HOME": "/c", "XDG_RUNTIME_DIR": "/r"}
    assert user_places(env) == DefaultPaths(
        root="/d/buildkit",
        address="unix:///r/buildkit/buildkitd.sock",
        config="/c/buildkit/buildkitd.toml",
    )
    assert user_places({"HOME": "/h"}) == DefaultPaths(
        root="/h/.local/share/buildkit", config="/h/.config/buildkit/buildkitd.toml"
    )
    assert user_places({}) == DefaultPaths()
