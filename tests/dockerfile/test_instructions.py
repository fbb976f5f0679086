"""Typed instructions and their complaints."""

from __future__ import annotations

import pytest

from croze.dockerfile.instructions import (
    Add,
    Copy,
    EnvInstruction,
    HealthcheckInstruction,
    KeyValue,
    Label,
    Onbuild,
    Run,
    RunMount,
    expand,
    expand_raw,
    parse_command,
    parse_stages,
)
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import (
    DockerfileError,
    fill_source,
    line_ranges,
    locations,
    with_location,
)
from croze.dockerfile.parser import parse
from croze.errors import SourceDetail


def one(line: str) -> object:
    stages, _ = parse_stages(parse(f"FROM a\n{line}\n".encode()).ast, Linter())
    return stages[0].instructions[0]


def refusal(line: str) -> str:
    with pytest.raises(DockerfileError) as caught:
        one(line)
    return str(caught.value).removeprefix("dockerfile parse error on line 2: ")


def mount(text: str) -> RunMount:
    run = one(f"RUN --mount={text} x")
    assert isinstance(run, Run)
    expanded = expand(run, lambda word: word.replace("$id", "7"))
    assert isinstance(expanded, Run)
    return expanded.mounts[0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("RNU x", "unknown instruction: RNU (did you mean RUN?)"),
        ("rnu x", "unknown instruction: rnu (did you mean run?)"),
        ("RUN --mout=x y", "unknown flag: --mout (did you mean mount?)"),
        ("RUN --network=x y", 'invalid network mode "x"'),
        ("RUN --security=x y", 'security "x" is not valid'),
        ("RUN --network y", "missing a value on flag: --network"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --link=x a b", "expecting boolean value for flag --link, not: x"),
        ("COPY --link --link a b", "duplicate flag specified: --link"),
        ("COPY a <<E\nE", "COPY cannot accept a heredoc as a destination"),
        (
            "ADD a",
            "ADD requires at least two arguments, but only one was provided."
            " Destination could not be determined",
        ),
        ("ENV =a", "ENV names can not be blank"),
        ("ARG =a", "ARG names can not be blank"),
        ("USER", "USER requires exactly one argument"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("SHELL sh", "SHELL requires the arguments to be in JSON form"),
        ("ONBUILD onbuild RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK FOO x", 'Unknown type "FOO" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        (
            "HEALTHCHECK --interval=1us CMD x",
            'Interval "interval" cannot be less than 1ms',
        ),
        ("HEALTHCHECK --timeout=1 CMD x", 'time: missing unit in duration "1"'),
        ("HEALTHCHECK --timeout=1x CMD x", 'time: unknown unit "x" in duration "1x"'),
        ("HEALTHCHECK --timeout=. CMD x", 'time: invalid duration "."'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        (
            "HEALTHCHECK --retries=x CMD x",
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        ("FROM x y", "FROM requires either one or three arguments"),
        (
            "FROM x as 1",
            'invalid name for build stage: "1", name can\'t start with a number or contain symbols',
        ),
        (
            "RUN --mount=from=$x y",
            "'from' doesn't support variable expansion, define alias stage instead",
        ),
        ("RUN --device=a,b y", "invalid field 'b' must be a key=value pair"),
    ],
)
def test_instructions_are_refused_in_buildkits_words(line: str, message: str) -> None:
    assert refusal(line) == message


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("type=cache,target=/c", RunMount(type="cache", target="/c")),
        ("target=/b", RunMount(target="/b", readonly=True)),
        ("target=/b,rw", RunMount(target="/b")),
        ("type=tmpfs,dst=/t,size=1.5GiB", RunMount(type="tmpfs", target="/t", size_bytes=3 << 29)),
        (
            "type=secret,id=a,mode=0400,uid=$id,required",
            RunMount(type="secret", id="a", mode=0o400, uid=7, required=True, readonly=True),
        ),
        ("type=secret,id=a,env=B", RunMount(type="secret", id="a", env="B", readonly=True)),
        ("TYPE=CACHE,sharing=LOCKED", RunMount(type="cache", sharing="locked")),
    ],
)
def test_mounts_are_read(text: str, want: RunMount) -> None:
    assert mount(text) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=cach", 'unsupported mount type "cach" (did you mean cache?)'),
        ("tpe=cache", "unexpected key 'tpe' in 'tpe=cache' (did you mean type?)"),
        ("type=bind,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=bind,uid=1", 'uid not allowed for "bind" type mounts'),
        ("type=cache,mode=9", "invalid value 9 for mode"),
        ("type=ssh,sharing=shared", "invalid cache sharing set for ssh mount"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,src=a,id=b", "both source and id can't be set"),
        ("type=cache,ro=maybe", "invalid value for ro: maybe"),
        ("type=bind,required", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,x", "invalid field 'x' must be a key=value pair"),
    ],
)
def test_mounts_are_refused_in_buildkits_words(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        mount(text)
    assert str(caught.value) == message


def test_csv_refusals_name_the_column() -> None:
    prefix = "failed to parse csv mounts: parse error on line 1, column"
    assert refusal('RUN --mount=a\\"b x') == f'{prefix} 2: bare " in non-quoted-field'
    assert refusal('RUN --mount=\\"a x') == f'{prefix} 2: extraneous or missing " in quoted-field'
    assert refusal("RUN --mount= x") == "failed to parse csv mounts: EOF"


def test_copy_and_add_flags() -> None:
    copy = one("COPY --from=x --chown=1 --link --parents --exclude=a --exclude=b s d")
    assert isinstance(copy, Copy)
    assert (copy.from_, copy.chown, copy.link, copy.parents) == ("x", "1", True, True)
    assert copy.excludes == ("a", "b")
    add = one("ADD --unpack=false --checksum=sha256:0 s d")
    assert isinstance(add, Add)
    assert (add.unpack, add.keep_git_dir, add.checksum) == (False, None, "sha256:0")


def test_heredocs_become_files_expanded_unless_quoted() -> None:
    copy = one("COPY <<A <<-'B' /d/\n$x\nA\n\t\ty$x\n\tB")
    assert isinstance(copy, Copy)
    expanded = expand_raw(copy, lambda text: text.replace("$x", "1"))
    assert isinstance(expanded, Copy)
    found = [(c.path, c.data, c.expand) for c in expanded.files.contents]
    assert found == [("A", "1\n", True), ("B", "y$x\n", False)]


def test_expansion_leaves_what_is_literal() -> None:
    env = one("ENV a$x=b$x")
    assert isinstance(env, EnvInstruction)
    assert expand(env, lambda word: word.upper()) == EnvInstruction(
        name="ENV",
        original="ENV a$x=b$x",
        location=line_ranges(2),
        pairs=(KeyValue("A$X", "B$X"),),
    )
    label = Label(name="LABEL", original="", pairs=(KeyValue("a", "$b"),), literal=True)
    assert expand(label, lambda word: "") is label


def test_a_healthcheck_has_its_times_in_nanoseconds() -> None:
    check = one('HEALTHCHECK --interval=1m30.5s --retries=3 CMD ["a", "b"]')
    assert isinstance(check, HealthcheckInstruction)
    assert check.config.test == ("CMD", "a", "b")
    assert (check.config.interval_ns, check.config.retries) == (90_500_000_000, 3)


def test_onbuild_keeps_its_heredocs() -> None:
    onbuild = one("ONBUILD RUN <<E cat\nbody\nE")
    assert isinstance(onbuild, Onbuild)
    assert onbuild.expression == "RUN <<E cat\nbody\nE"


def test_places_are_gathered_from_the_inside_out() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_stages(parse(b"FROM a\nRUN b\nFOO \\\n b\n").ast, Linter())
    assert locations(caught.value) == [line_ranges(3, 4)]
    outer = with_location(caught.value, line_ranges(9))
    assert locations(outer) == [line_ranges(3, 4), line_ranges(9)]
    filled = fill_source(outer, "Dockerfile", b"data")
    assert locations(filled) == []
    places = [d.ranges for d in filled.details if isinstance(d, SourceDetail)]
    assert places == [line_ranges(3, 4), line_ranges(9)]


def test_instruction_before_any_stage() -> None:
    with pytest.raises(DockerfileError, match="no build stage in current context"):
        parse_stages(parse(b"ARG a\nRUN b\n").ast, Linter())


def test_trigger_may_not_be_a_stage() -> None:
    with pytest.raises(DockerfileError, match="not a command type"):
        parse_command(parse(b"FROM a\n").ast[0])
