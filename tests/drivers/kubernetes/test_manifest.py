"""Objects as buildx's own code makes them.

`data/manifests.json` was made by `driver/kubernetes` of buildx 0.31 for each set of options: its
factory read them, its `manifest.NewDeployment` made the objects. `quantities.json` is what
apimachinery's `resource.ParseQuantity` makes of each text, `rings.json` what `hashring` chose.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import pytest

from croze.builders.model import parse_platforms
from croze.drivers.kubernetes.api import Pod
from croze.drivers.kubernetes.manifest import manifests
from croze.drivers.kubernetes.options import RANDOM, STICKY, parse_options
from croze.drivers.kubernetes.pods import choose, running
from croze.drivers.kubernetes.quantity import canonical
from croze.errors import CrozeError, InvalidRequest, Unavailable
from tests.drivers.kubernetes.pods import pod

DATA = Path(__file__).parent / "data"


class Given(TypedDict, total=False):
    name: str
    opts: dict[str, str]
    flags: list[str]
    files: dict[str, str]
    platforms: list[str]


class Case(TypedDict):
    given: Given
    made: dict[str, object]


def cases() -> list[Case]:
    found: list[Case] = json.loads((DATA / "manifests.json").read_text())
    return found


def as_text(case: Case) -> str:
    return json.dumps({k: v for k, v in case["given"].items() if k != "name"})[:60]


@pytest.mark.parametrize("case", cases(), ids=as_text)
def test_as_buildx_makes_them(case: Case) -> None:
    if error := case["made"].get("error"):
        with pytest.raises(CrozeError) as caught:
            told(case["given"])
        assert str(caught.value) == error
    else:
        assert told(case["given"]) == case["made"]


def told(case: Given) -> dict[str, object]:
    options = parse_options(case.get("opts", {}))
    made = manifests(
        case["name"].replace("_", "-"),
        options,
        flags=case.get("flags", []),
        files={name: text.encode() for name, text in case.get("files", {}).items()},
        fixed=parse_platforms(tuple(case.get("platforms", []))),
    )
    return {
        "loadbalance": options.loadbalance,
        "namespace": options.namespace or "default",
        "defaultLoad": options.default_load,
        "timeout": options.timeout_s,
        "workload": made.workload,
        **({"configMaps": list(made.config_maps)} if made.config_maps else {}),
    }


def test_files_of_several_directories() -> None:
    """buildx numbers them as Go's maps have it; here by name."""
    files = {"certs/b/ca.pem": b"2", "buildkitd.toml": b"0", "certs/a/ca.pem": b"1"}
    made = manifests("n", parse_options({}), files=files)
    assert [(each["metadata"], each["data"]) for each in made.config_maps] == [
        ({"name": "n-config"}, {"buildkitd.toml": "0"}),
        ({"name": "n-config-1"}, {"ca.pem": "1"}),
        ({"name": "n-config-2"}, {"ca.pem": "2"}),
    ]


@pytest.mark.parametrize(
    ("text", "made"), json.loads((DATA / "quantities.json").read_text()).items()
)
def test_quantities_are_written_as_kubernetes_does(text: str, made: str) -> None:
    if made.startswith("ERROR "):
        with pytest.raises(InvalidRequest) as caught:
            canonical(text)
        assert str(caught.value) == made.removeprefix("ERROR ")
    else:
        assert canonical(text) == made


def test_the_pod_that_buildx_chooses() -> None:
    for case in json.loads((DATA / "rings.json").read_text()):
        pods = [pod(name) for name in case["pods"]]
        assert choose(pods, STICKY, case["key"]).metadata.name == case["pod"]


def test_pods_that_run_are_in_the_order_of_their_names() -> None:
    ending: Pod = pod("a", ending=True)
    pods = [pod("c"), pod("b", phase="Pending"), ending, pod("B")]
    assert [one.metadata.name for one in running(pods)] == ["B", "c"]


def test_any_pod_is_as_good() -> None:
    pods = [pod(f"p{number}") for number in range(3)]
    assert {choose(pods, RANDOM, "").metadata.name for _ in range(200)} == {"p0", "p1", "p2"}


@pytest.mark.parametrize("loadbalance", [STICKY, RANDOM])
def test_without_a_pod_there_is_no_daemon(loadbalance: str) -> None:
    with pytest.raises(Unavailable, match="no running buildkit pods found"):
        choose([], loadbalance, "key")
