"""Bake is quick, and twice as much takes twice as long."""

from __future__ import annotations

import time

from tests.bake.world import printed


def file_of(targets: int) -> str:
    head = """
variable "TAG" { default = "1.0" }
function "name" {
  params = [n]
  result = "r/${n}:${TAG}"
}
target "base" { platforms = ["linux/amd64"] }
"""
    each = """
target "t{n}" {{
  inherits = ["base"]
  context = "./dir{n}"
  tags = [name("app{n}"), "r/app{n}:latest"]
  args = {{
    NAME = upper("app{n}")
    V = TAG == "1.0" ? "one" : "other"
  }}
}}
"""
    names = ", ".join(f'"t{n}"' for n in range(targets))
    body = "".join(each.format(n=n) for n in range(targets))
    return f'{head}group "default" {{ targets = [{names}] }}\n{body}'


def seconds(targets: int) -> float:
    text = file_of(targets)
    before = time.process_time()
    assert len(printed(text)["target"]) == targets
    return time.process_time() - before


def test_two_thousand_lines() -> None:
    assert file_of(200).count("\n") >= 2000
    seconds(10)
    assert min(seconds(200) for _ in range(3)) < 0.4


def test_time_grows_with_the_number_of_targets() -> None:
    seconds(10)
    small = min(seconds(250) for _ in range(3))
    large = min(seconds(1000) for _ in range(2))
    assert large < small * 4 * 1.8
