"""Templates as Go renders them: what is expected here was compared with Go's own answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.gotypes.template import Fields, Nil, TemplateError, TypedMap, render

DATA = Fields(
    {
        "Name": "a<b>",
        "Count": 3,
        "Size": 1.5,
        "On": True,
        "Tags": ["x", "y"],
        "Empty": [],
        "Labels": {"k": "v", "a": "b"},
        "Inner": Fields({"Digest": "sha256:1", "N": 2}, "Inner"),
        "None": None,
    },
    "*main.Data",
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("{{.Name}} {{.Count}} {{.Size}} {{.On}}", "a<b> 3 1.5 true"),
        ("{{.}}", "{a<b> 3 1.5 true [x y] [] map[a:b k:v] {sha256:1 2} <nil>}"),
        (
            "{{.Tags}} {{.Labels}} {{.Inner}} {{.None}}",
            "[x y] map[a:b k:v] {sha256:1 2} <no value>",
        ),
        ("{{.Inner.Digest}}", "sha256:1"),
        ("{{.Labels.k}} {{.Labels.nope}}", "v <no value>"),
        ("a {{- 1 -}} b", "a1b"),
        ("a {{- /* no */ -}} b{{/* x */}}c", "abc"),
        ("{{if .On}}y{{else}}n{{end}}{{if .Empty}}y{{else}}n{{end}}", "yn"),
        ("{{if .Empty}}1{{else if .On}}2{{else}}3{{end}}", "2"),
        ("{{with .Inner}}{{.N}}{{end}}{{with .Empty}}x{{else}}e{{end}}", "2e"),
        ("{{range .Tags}}<{{.}}>{{end}}{{range .Empty}}x{{else}}none{{end}}", "<x><y>none"),
        ("{{range $i, $t := .Tags}}{{$i}}={{$t}};{{end}}", "0=x;1=y;"),
        ("{{range $k, $v := .Labels}}{{$k}}{{$v}} {{end}}", "ab kv "),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range .Tags}}{{if eq . `y`}}{{break}}{{end}}{{.}}{{end}}", "x"),
        ("{{range .Tags}}{{if eq . `x`}}{{continue}}{{end}}{{.}}{{end}}", "y"),
        ("{{$x := 1}}{{if .On}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 1}}{{if .On}}{{$x := 2}}{{end}}{{$x}}", "1"),
        (
            "{{json .Labels}} {{json .Name}} {{.Tags | json}}",
            '{"a":"b","k":"v"} "a<b>" ["x","y"]',
        ),
        ('{{join .Tags ", "}} {{split "a,b" ","}}', "x, y [a b]"),
        (
            '{{upper "abc"}} {{title "ab cd"}} {{truncate "abcdef" 3}} {{pad "x" 1 2}}|',
            "ABC Ab Cd abc  x  |",
        ),
        ("{{title `ab-cd e_f e1g.h`}} {{truncate `éà` 3}}", "Ab-Cd E_f E1g.H é\udcc3"),
        ('{{join .Labels ","}}{{join .None "-"}}', "b,v"),
        ("{{html `<'\"&>`}} {{js `<'\"=`}}", "&lt;&#39;&#34;&amp;&gt; \\u003C\\'\\\"\\u003D"),
        ("{{printf `%v %v %v` 1e6 123456789.5 100000.5}}", "1e+06 1.234567895e+08 100000.5"),
        ("{{len .Tags}} {{index .Tags 1}} {{index .Labels `a`}} {{slice `abcd` 1 3}}", "2 y b bc"),
        (
            "{{eq .Count 1 3}} {{ne .Count 3}} {{lt 1 2}} {{ge 2 2}} {{gt 1.5 2.5}}",
            "true false true true false",
        ),
        ("{{and .On .Count}} {{or .Empty .Name}} {{not .On}}", "3 a<b> false"),
        ("{{and 0 (index .Empty 1)}}", "0"),
        (
            '{{printf "%s-%d|%5d|%-4s|%q|%t|%v|%x|%%" .Name 7 42 "a" "b" true .Tags 255}}',
            'a<b>-7|   42|a   |"b"|true|[x y]|ff|%',
        ),
        ('{{printf "%d" "x"}} {{printf "%s"}}', "%!d(string=x) %!s(MISSING)"),
        ('{{printf "%x|%X|%.2s|%+d" "" "az" "abc" 3}}', "|617A|ab|+3"),
        ('{{print "a" 1 2 "b"}} {{println 1}}', "a1 2b 1\n"),
        ("{{html .Name}} {{urlquery `a b&`}}", "a&lt;b&gt; a+b%26"),
        ("{{\"a\\tb\"}}{{`c\\t`}}{{'x'}}{{0x10}}", "a\tbc\\t12016"),
        ("{{(index .Tags 0) | upper}} {{(.Inner).N}}", "X 2"),
        ("{{true}} {{eq nil .None}}", "true true"),
        ("{{$.Name}}{{range .Tags}}{{$.Count}}{{end}}", "a<b>33"),
    ],
)
def test_rendered(text: str, shown: str) -> None:
    assert render(text, DATA) == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{{.Nope}}",
            'template: :1:2: executing "" at <.Nope>: can\'t evaluate field Nope in type *main',
        ),
        (
            "{{.Inner.Nope}}",
            ':1:8: executing "" at <.Inner.Nope>: can\'t evaluate field Nope in type Inner',
        ),
        ("{{nope}}", 'function "nope" not defined'),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{", "unclosed action"),
        ("{{if .On}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ('{{"a}}', "unterminated quoted string"),
        ("{{index .Tags 5}}", "index out of range: 5"),
        ("{{.Name 1}}", "Name has arguments but cannot be invoked as function"),
        ("{{lt 1 `a`}}", "incompatible types for comparison"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{template `x`}}", 'template "x" not defined'),
        ("{{define `r`}}{{template `r`}}{{end}}{{template `r`}}", "maximum template depth"),
        ("{{}}", "missing value for command"),
        ("\n\n{{.Nope}}", "template: :3:"),
        ("{{range .Count}}{{end}}{{range .Name}}{{end}}", "range can't iterate over a<b>"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, DATA)
    assert said in str(caught.value)


RECORDED = Fields(
    {
        **DATA,
        "Labels": {"k": "v", "a": "b", "n": None, "m": {"x": 1}},
        "Inner": Fields({"Digest": "sha256:1", "N": 2}, "main.Inner"),
    },
    "*main.Data",
)


@pytest.mark.parametrize("record", ["templates_go.json", "printf_go.json"])
def test_as_go_has_it(record: str) -> None:
    """What Go 1.26 made of each with the Docker CLI's functions, of the same data in a struct."""
    for case in json.loads(Path(__file__).with_name(record).read_text()):
        try:
            answer = {"out": render(case["text"], RECORDED)}
        except TemplateError as error:
            answer = {"err": str(error)}
        assert {"text": case["text"], **answer} == case


INNER = Fields({"OS": "linux"}, "main.Inner")
POINTERS = Fields(
    {
        "Error": Nil("*main.Error"),
        "Other": Nil("*main.Error"),
        "There": Fields({"Code": 1}, "*main.Error"),
        "Struct": Fields({"Code": 1}, "main.Error"),
        "Bytes": b"x:\xff",
        "List": [1],
        "Outer": Fields({"Own": 0, "In": INNER}, "main.Outer", promoted=INNER),
        "Map": TypedMap({"a": "b"}, "string", ""),
    },
    "main.Data",
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{.Error}} {{print .Error}} {{html .Error}}", "<nil> <nil> &lt;nil&gt;"),
        (
            "{{json .Error}} {{json .}}",
            "null "
            '{"Error":null,"Other":null,"There":{"Code":1},'
            '"Struct":{"Code":1},"Bytes":"eDr/","List":[1],'
            '"Outer":{"Own":0,"In":{"OS":"linux"}},"Map":{"a":"b"}}',
        ),
        ("{{json `<\u2028>`}}{{json (slice `é` 1)}}", '"<\\u2028>""\\ufffd"'),
        ("{{json 2.0}} {{json 1e6}} {{json 1.5}}", "2 1000000 1.5"),
        ("{{not .Error}} {{with .Error}}x{{else}}none{{end}}", "true none"),
        ("{{eq .Error nil}} {{eq nil .Error}} {{eq .Error .Other}}", "true true true"),
        ("{{eq .Error .There}} {{ne .There nil}} {{eq .Error .There nil}}", "false true true"),
        (
            "{{printf `%v|%s|%d|%T|%6v|` .Error .Error .Error .Error .Error}}",
            "<nil>|%!s(*main.Error=<nil>)|0|*main.Error| <nil>|",
        ),
        ("{{.There}} {{print .There}} {{print .Struct}}", "{1} &{1} {1}"),
        (
            "{{printf `%v %+v %#v %s` .There .There .There .There}}",
            "&{1} &{Code:1} &main.Error{Code:1} &{%!s(int=1)}",
        ),
        ("{{.Outer}} {{.Outer.OS}} {{.Outer.In.OS}}", "{0 {linux}} linux linux"),
        ("{{index .Map `a`}}<{{index .Map `x`}}>{{.Map.x}}", "b<><no value>"),
        ("{{printf `%T` .Map}} {{.Map}}", "map[string]string map[a:b]"),
        ("{{.Bytes}} {{json .Bytes}} {{len .Bytes}}", '[120 58 255] "eDr/" 3'),
        ("{{index .Bytes 1}} {{slice .Bytes 1 2}} {{join .Bytes `,`}}", "58 [58] 120,58,255"),
        ("{{range $i, $b := .Bytes}}{{$i}}={{$b}} {{end}}", "0=120 1=58 2=255 "),
        (
            "{{printf `%s|%4s|%.1s|%x|%q` .Bytes .Bytes .Bytes .Bytes .Bytes}}",
            'x:\udcff| x:\udcff|x|783aff|"x:\\xff"',
        ),
        (
            "{{printf `%v %d %02x %T` .Bytes .Bytes .Bytes .Bytes}}",
            "[120 58 255] [120 58 255] 783aff []uint8",
        ),
    ],
)
def test_pointers_maps_and_bytes(text: str, shown: str) -> None:
    assert render(text, POINTERS) == shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{{.Error.Code}}",
            ':1:8: executing "" at <.Error.Code>: nil pointer evaluating *main.Error.Code',
        ),
        ("{{len .Error}}", "error calling len: len of nil pointer"),
        ("{{index .Error 1}}", "error calling index: index of nil pointer"),
        ("{{slice .Error 1}}", "error calling slice: slice of nil pointer"),
        ("{{range .Error}}{{end}}", "range can't iterate over <nil>"),
        ("{{lower .Error}}", "wrong type for value; expected string; got *main.Error"),
        ("{{lower .Bytes}}", "wrong type for value; expected string; got []uint8"),
        ("{{eq .Error 1}}", "incompatible types for comparison"),
        ("{{eq .Error .Struct}}", "non-comparable types <nil>: *main.Error, main.Error: {1}"),
        ("{{eq .Bytes .Error}}", "non-comparable types [120 58 255]: []uint8, *main.Error: <nil>"),
        ("{{eq .Bytes .Bytes}}", "non-comparable type [120 58 255]: []uint8"),
        ("{{index .Bytes 3}}", "index out of range"),
        ("{{json 1i}}", "error calling json: json: unsupported type: complex128"),
        ("{{len .There}}", "error calling len: len of type main.Error"),
        ("{{.There | call}}", "non-function <*main.Error Value> of type *main.Error"),
        ("{{call .Error}}", "non-function .Error of type *main.Error"),
    ],
)
def test_what_nil_pointers_and_bytes_have_not(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, POINTERS)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["{{", "{{(" * 50, "{{'" + "\\" * 50, "a" * 10_000 + "{{-"])
def test_what_is_no_template_is_refused_and_does_not_hang(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, DATA)
