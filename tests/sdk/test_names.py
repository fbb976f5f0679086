"""The library's names, which are imported when they are used."""

from __future__ import annotations

import importlib

import pytest

import croze


def test_every_name_is_there_when_it_is_asked_for() -> None:
    package = importlib.import_module("croze")
    assert set(croze.__all__) <= set(dir(package))
    assert all(getattr(package, name) is not None for name in croze.__all__)


def test_another_name_is_missed_as_pythons_are() -> None:
    with pytest.raises(AttributeError, match="module 'croze' has no attribute 'nothing'"):
        importlib.import_module("croze").__getattr__("nothing")
