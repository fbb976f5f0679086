"""What a definition's flags ask for."""

from __future__ import annotations

import pytest

from croze.client.builds.llb import DefinitionBuild, make_plan
from croze.errors import InvalidRequest


def test_directory_without_a_path_is_not_the_working_directory() -> None:
    build = DefinitionBuild(definition=b"", locals=["context=.", "sources"])
    with pytest.raises(InvalidRequest, match=r"^invalid local: invalid value sources$"):
        make_plan(build, has_frontend=True)


def test_layout_without_a_path_is_refused() -> None:
    build = DefinitionBuild(definition=b"", oci_layouts=["store"])
    with pytest.raises(InvalidRequest, match=r"must be 'id=path/to/layout', instead had invalid"):
        make_plan(build, has_frontend=True)


def test_paths_are_lent_by_name() -> None:
    build = DefinitionBuild(definition=b"", locals=["a=/x", "b=y=z"], oci_layouts=["l=/o"])
    plan = make_plan(build, has_frontend=True)
    assert {name: str(each.path) for name, each in plan.local_dirs.items()} == {
        "a": "/x",
        "b": "y=z",
    }
    assert {name: str(path) for name, path in plan.layouts.items()} == {"l": "/o"}
