"""Templates as Go renders them: what is expected here was compared with Go's own answers."""

from __future__ import annotations

import pytest

from croze.gotypes.template import Fields, TemplateError, render

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
        ("{{.Name 1}}", "can't give argument to non-function .Name"),
        ("{{lt 1 `a`}}", "incompatible types for comparison"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{template `x`}}", "{{template}} is not supported"),
        ("{{}}", "missing value for command"),
        ("\n\n{{.Nope}}", "template: :3:"),
        ("{{range .Count}}{{end}}{{range .Name}}{{end}}", "range can't iterate over a<b>"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(text, DATA)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["{{", "{{(" * 50, "{{'" + "\\" * 50, "a" * 10_000 + "{{-"])
def test_what_is_no_template_is_refused_and_does_not_hang(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text, DATA)
