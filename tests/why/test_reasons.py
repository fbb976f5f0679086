"""Steps beside earlier records of the same line."""

from __future__ import annotations

import pytest

from croze.api import ops_pb2
from croze.fs.content.checksum import Query
from croze.why import text
from croze.why.explainer import explain
from croze.why.reasons import Reason
from croze.why.record import RecordedBuild, RecordedStep, StepInput, place_of
from tests.why.recorded import ONE, build, compare, context, nothing_gone, run, step


def source(identifier: str) -> ops_pb2.Op:
    op = ops_pb2.Op()
    op.source.identifier = identifier
    return op


def why(now: RecordedBuild, *earlier: RecordedBuild) -> tuple[Reason, ...]:
    """Of the last step."""
    return explain(now.steps[-1], now, earlier, compare, nothing_gone).reasons


def test_nothing_on_record() -> None:
    assert why(build(step("[1/1] RUN make", run()))) == (Reason("new"),)


@pytest.mark.parametrize(("args", "kind"), [(("V",), "argument"), ((), "environment")])
def test_variables(args: tuple[str, ...], kind: str) -> None:
    old = build(step("[1/1] RUN make", run("V=1", "GONE=x")), ref="old")
    now = build(step("[1/1] RUN make", run("V=2")), args=args)
    assert why(now, old) == (
        Reason("environment", "GONE", "x", "(not set)"),
        Reason(kind, "V", "1", "2"),
    )
    assert "V: 1 → 2" in text.short(why(now, old))


def test_mounts() -> None:
    old = build(step("[1/1] RUN make", run(dest="/c", id="/c")))
    now = build(step("[1/1] RUN make", run(dest="/c", id="other")))
    (reason,) = why(now, old)
    assert (reason.kind, reason.subject) == ("mount", "/c")
    assert "id=other" in reason.new


def test_the_nearest_line_is_compared() -> None:
    same = build(step("[2/3] RUN make", run("A=2")), ref="same")
    moved = step("[3/3] RUN make", run("A=1"))
    now = build(step("[2/3] RUN new", run(args="new")), moved)
    assert why(now, same) == (Reason("environment", "A", "2", "1"),)
    new = explain(now.steps[0], now, [same], compare, nothing_gone)
    assert new.reasons == (Reason("new"),), "a line that moved is not the old text of another"


def test_an_edited_line() -> None:
    old = build(step("[1/2] RUN first", run(args="a")), step("[2/2] RUN make", run(args="make")))
    now = build(step("[1/2] RUN first", run(args="a")), step("[2/2] RUN test", run(args="test")))
    assert why(now, old) == (Reason("instruction", "", "RUN make", "RUN test"),)


def test_the_newest_record_that_has_the_line_counts() -> None:
    line, other = "[1/1] RUN make", "[other 1/1] RUN else"
    past = [
        build(step(other, run()), ref="newest"),
        build(step(line, run("A=2")), ref="middle"),
        build(step(line, run("A=3")), ref="oldest"),
    ]
    found = explain(
        step(line, run("A=1")), build(step(line, run("A=1"))), past, compare, nothing_gone
    )
    assert found.compared_ref == "middle"


def local(name: str = "context") -> RecordedStep:
    return step("[internal] load build context", source(f"local://{name}"), kind="source")


def test_files() -> None:
    op = ops_pb2.Op()
    op.file.actions.add()
    old = build(local(), step("[1/1] COPY a /", op, context("1", "l1"), kind="file"))
    now = build(local(), step("[1/1] COPY a /", op, context("2", "l2"), kind="file"))
    (reason,) = why(now, old)
    assert reason == Reason("files", "the build context", files=ONE.files, count=1, total=5)
    assert text.short([reason]) == "1 file changed: a"
    gone = build(local(), step("[1/1] COPY a /", op, context("1", "gone"), kind="file"))
    (reason,) = why(now, gone)
    assert text.short([reason]) == "files changed in the build context"


def on_base(identifier: str, pin: str, **options: str) -> RecordedBuild:
    base = step("[1/2] FROM alpine", source(identifier), kind="source", pin=pin, outcome="cached")
    return build(base, step("[2/2] RUN make", run(), StepInput(0), identity=identifier + pin))


def test_base_images() -> None:
    name = "docker-image://docker.io/library/alpine:3@sha256:"
    (reason,) = why(on_base(name + "b" * 64, ""), on_base(name + "a" * 64, ""))
    assert reason == Reason("base", "alpine:3", "sha256:" + "a" * 64, "sha256:" + "b" * 64)
    assert text.short([reason]) == "base image alpine:3: sha256:aaaaaaaaaaaa → sha256:bbbbbbbbbbbb"
    (reason,) = why(on_base("git://x/y.git", "c2"), on_base("git://x/y.git", "c1"))
    assert reason == Reason("source", "x/y.git", "c1", "c2")


def test_parents_and_what_was_pruned() -> None:
    first, second = "[1/2] RUN first", "[2/2] RUN second"
    old = build(step(first, run(args="1")), step(second, run(), StepInput(0)))
    now = build(step(first, run("A=1", args="1")), step(second, run(), StepInput(0), identity="x"))
    assert why(now, old) == (Reason("parent", first),)
    found_again = build(
        step(first, run(args="1"), outcome="cached"), step(second, run(), StepInput(0))
    )
    assert why(found_again, old) == (), "it should be there: nobody knows"
    gone = explain(found_again.steps[-1], found_again, [old], compare, lambda results, at_us: True)
    assert gone.reasons == (Reason("pruned"),)
    no_cache = build(step(second, run(), ignore_cache=True))
    assert why(no_cache, old) == (Reason("no-cache"),)


def test_another_dockerfile_in_a_folder_of_the_same_name() -> None:
    old = build(*(step(f"[{i}/3] RUN theirs{i}", run(args=f"t{i}")) for i in (1, 2, 3)))
    now = build(*(step(f"[{i}/3] RUN ours{i}", run(args=f"o{i}")) for i in (1, 2, 3)))
    assert why(now, old) == (Reason("new"),)


def test_names() -> None:
    assert place_of("[linux/amd64 build 2/14] COPY a b", 0) == ("linux/amd64 build", 2, "COPY a b")
    assert place_of("[2/4] RUN x", 0) == ("", 2, "RUN x")
    assert place_of("docker-image://x", 7) == ("", 7, "docker-image://x")
    assert text.place("[build 2/4] COPY src ./") == "[build 2/4] COPY"
    assert (
        text.place("[context base] OCI load from client") == "[context base] OCI load from client"
    )


def test_a_step_that_ran_once_for_two_builds() -> None:
    old = build(step("[1/1] RUN make", run(), result="r"), ref="other")
    now = build(step("[1/1] RUN make", run(), result="r"))
    assert why(now, old) == (Reason("shared", "other"),)
    assert "ran once for this build and for other" in text.short(why(now, old))


def test_content_is_known_of_a_result_that_was_found_by_definition() -> None:
    """Between a build that asked for the content and this one, one needed not ask."""
    op, queries = ops_pb2.Op(), (Query("f"),)
    op.file.actions.add()

    def copied(content: str, files: str, made: str, ref: str) -> RecordedBuild:
        made_by = step("[build 1/1] RUN make", run(), result=made)
        item = StepInput(0, content=content, queries=queries, files=files)
        return build(made_by, step("[1/1] COPY f /", op, item, kind="file"), ref=ref)

    asked, found = copied("1", "l1", "r1", "asked"), copied("", "", "r1", "found")
    reasons = why(copied("2", "l2", "r2", "now"), found, asked)
    assert reasons[0] == Reason("files", "[build 1/1] RUN make", files=ONE.files, count=1, total=5)


def test_the_same_step_is_the_same_whatever_came_of_those_below_it() -> None:
    op, queries = ops_pb2.Op(), (Query("f"),)
    op.file.actions.add()

    def copied(content: str, made: str, ref: str) -> RecordedBuild:
        made_by = step("[build 1/1] RUN date > f", run(), result=made, outcome="cached")
        item = StepInput(0, content=content, queries=queries)
        return build(made_by, step("[1/1] COPY f /", op, item, kind="file"), ref=ref)

    now, earlier = copied("", "r2", "now"), [copied("", "r1", "old")]
    earlier += [copied("1", "r1", "asked first"), copied("2", "r2", "asked then")]
    found = explain(now.steps[-1], now, earlier, compare, lambda results, at_us: True)
    assert (found.reasons, found.compared_ref) == ((Reason("pruned"),), "old")


def test_what_many_ways_lead_to_is_looked_at_once() -> None:
    def ladder(ref: str) -> RecordedBuild:
        below = [step("[1/61] RUN 0", run(), identity=ref)]
        for number in range(1, 61):
            both = StepInput(number - 1), StepInput(number - 1, output=1)
            below.append(
                step(f"[{number + 1}/61] RUN {number}", run(), *both, identity=f"{ref}{number}")
            )
        return build(*below, ref=ref)

    now, old = ladder("now"), ladder("old")
    found = explain(now.steps[-1], now, [old], compare, lambda results, at_us: True)
    assert found.reasons[0].kind == "parent"
