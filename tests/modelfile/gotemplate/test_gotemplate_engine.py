"""What the verified cases leave open: errors with their places, values of every kind, dates and odd bytes."""

from datetime import date
from typing import Any

import pytest

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import JsonList, JsonMap, Member, Record, Shape, TypeNames, parse

POINT = Shape("api.Point", (Member("X", "x"), Member("Note", "note", is_optional=True)))
POINTER = Shape("*api.Point", POINT.members)
SHOWN = Shape("api.Shown", POINT.members, prints_json=True)


def run(template: str, data: Any = None) -> str:
    return parse(template).execute(data)


def error_of(template: str, data: Any = None) -> str:
    with pytest.raises(TemplateError) as raised:
        run(template, data)
    return raised.value.message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\n{{ .X", "template: :2: unclosed action"),
        ("{{ if\n\n.X ", "template: :3: unclosed action started at :1"),
        ("{{ end }}", "template: :1: unexpected {{end}}"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "template: :1: expected end; found {{else}}"),
        ("{{ range 1 }}{{ else if 1 }}{{ end }}", "template: :1: unexpected <if> in input"),
        ("{{ define 1 }}{{ end }}", 'template: :1: unexpected "1" in define clause'),
        ('{{ define "a" }}x{{ else }}{{ end }}', "template: :1: unexpected {{else}} in define clause"),
        ('{{ define "a" }}x{{ end }}{{ define "a" }}y{{ end }}', 'multiple definition of template "a"'),
        ('{{ if 1 }}{{ define "a" }}{{ end }}{{ end }}', "unexpected <define> in command"),
        ("{{ continue }}", "{{continue}} outside {{range}}"),
        ("{{ range 1 }}{{ break 1 }}{{ end }}", 'unexpected "1" in {{break}}'),
        ("{{ template 1 }}", 'unexpected "1" in template clause'),
        ("{{ $x, $y := 1 }}", "too many declarations in command"),
        ("{{ range $x, $y, $z := 1 }}{{ end }}", "too many declarations in range"),
        ("{{ range $x, 1 }}{{ end }}", "range can only initialize variables"),
        ("{{ $x = 1 | 2 }}", "non executable command in pipeline stage 2"),
        ("{{ | }}", 'unexpected "|" in command'),
        ("{{ ( }}", "unclosed left paren"),
        ("{{ ) }}", "unexpected right paren"),
        ('{{ "a }}', "unterminated quoted string"),
        ("{{ `a }}", "unterminated raw quoted string"),
        ("{{ 'a }}", "unterminated character constant"),
        ("{{ 'ab' }}", "malformed character constant: 'ab'"),
        ('{{ "\\q" }}', "invalid syntax"),
        ("{{ .a$ }}", "bad character U+0024 '$'"),
        ("{{ \x01 }}", "unrecognized character in action: U+0001"),
        ("{{ 1a }}", 'bad number syntax: "1a"'),
        ("{{ 0x }}", 'illegal number syntax: "0x"'),
        ("{{ 99999999999999999999 }}", 'integer overflow: "99999999999999999999"'),
        ("{{ 1 : 1 }}", "expected :="),
        ("{{ 1.A }}", "bad number syntax"),
        ("{{ nil.A }}", 'unexpected . after term "nil"'),
        ("{{/* a }}", "unclosed comment"),
        ("{{/* a */ }}", "comment ends before closing delimiter"),
    ],
)
def test_the_parser_says_what_go_says(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        parse(template)

    assert message in raised.value.message


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("é\n {{ .A.B }}", 'template: :2:6: executing "" at <.A.B>: nil pointer evaluating interface {}.B'),
        ('{{ define "t" }}{{ len 1 }}{{ end }}{{ template "t" 1 }}', 'executing "t" at <len 1>: error calling len:'),
        ("{{ .N 1 }}", "N is not a method but has arguments"),
        ("{{ 1 | .N }}", "N is not a method but has arguments"),
        ("{{ .P.X 1 }}", "X has arguments but cannot be invoked as function"),
        ("{{ .P.Y }}", "can't evaluate field Y in type api.Point"),
        ("{{ (1) 2 }}", "can't give argument to non-function 1"),
        ("{{ 1 | $ }}", "can't give argument to non-function $"),
        ("{{ 9223372036854775808 }}", "9223372036854775808 overflows int"),
        ("{{ and false ($x := 1) }}{{ $x }}", "undefined variable: $x"),
        ("{{ and false ($x := 1) }}{{ $x = 1 }}", "undefined variable: $x"),
        ("{{ range $i, $v := 3 }}{{ end }}", "can't use 3 to iterate over more than one variable"),
        ("{{ range .P }}{{ end }}", "range can't iterate over {1 }"),
        ("{{ printf 1 }}", "expected string; found 1"),
        ("{{ printf nil }}", "cannot assign nil to string"),
        ("{{ printf .Nope }}", "wrong type for value; expected string; got interface {}"),
        ("{{ $x := .Nope }}{{ printf $x }}", "invalid value; expected string"),
        ("{{ 1 | printf }}", "wrong type for value; expected string; got int"),
        ("{{ currentDate 1 }}", "expected string; found 1"),
        ("{{ 1 | json 2 }}", "wrong number of args for json: want 1 got 2"),
        ("{{ and }}", "wrong number of args for and: want at least 1 got 0"),
        ("{{ eq 1 }}", "missing argument for comparison"),
        ("{{ eq .L .M }}", "non-comparable types"),
        ("{{ eq .P .P }}", "non-comparable type"),
        ("{{ lt 1 1.5 }}", "incompatible types for comparison: int and float64"),
        ("{{ lt nil 1 }}", "invalid type for comparison"),
        ("{{ call 1 }}", "error calling call: non-function"),
        ("{{ call .Nope }}", "call of nil"),
        ("{{ index nil 1 }}", "index of untyped nil"),
        ("{{ index .L 0 1 }}", "index of nil pointer"),
        ("{{ index .L `a` }}", "cannot index slice/array with type string"),
        ("{{ index .L nil }}", "cannot index slice/array with nil"),
        ("{{ index .M 1 }}", "value has type int; should be string"),
        ("{{ index .M nil }}", "value is nil; should be of type string"),
        ("{{ index 1 1 }}", "can't index item of type int"),
        ("{{ slice nil }}", "slice of untyped nil"),
        ("{{ slice 1 }}", "can't slice item of type int"),
        ("{{ slice .L 1 0 }}", "invalid slice index: 1 > 0"),
        ("{{ slice .L 0 1 0 }}", "invalid slice index: 1 > 0"),
        ("{{ slice .L 0 0 0 0 }}", "too many slice indexes: 4"),
        ("{{ slice `abc` 0 1 1 }}", "cannot 3-index slice a string"),
    ],
)
def test_the_executor_says_what_go_says(template: str, message: str) -> None:
    data = {"N": 1, "L": [None], "M": {}, "P": Record(POINT, {"X": 1, "Note": ""})}

    assert message in error_of(template, data)


def test_a_record_prints_like_a_struct_and_becomes_json_by_its_members() -> None:
    data = {"P": Record(POINT, {"X": 1, "Note": ""}), "S": Record(SHOWN, {"X": 2, "Note": "<"})}

    assert run("{{ .P }} {{ json .P }} {{ .S }}", data) == '{1 } {"x":1} {"x":2,"note":"\\u003c"}'
    assert run('{{ printf "%+v %#v %d" .P .P .S }}', data) == ('{X:1 Note:} api.Point{X:1, Note:""} {2 %!d(string=<)}')


def test_pointers_equal_themselves_only() -> None:
    one, two = (Record(POINTER, {"X": 1, "Note": ""}) for _ in range(2))

    assert run("{{ eq .A .A }} {{ eq .A .B }} {{ eq .A nil }}", {"A": one, "B": two}) == "true false false"


def test_maps_and_lists_that_print_as_json_do_so_inside_others_too() -> None:
    data = {"M": JsonMap(b=1, a="<"), "L": JsonList([1]), "T": TypeNames(["string"]), "U": TypeNames(["a", "b"])}

    assert run("{{ .M }}{{ .L }} {{ .T }} {{ .U }} {{ json .T }}{{ json .U }}", data) == (
        '{"a":"\\u003c","b":1}[1] string [a b] "string"["a","b"]'
    )
    assert run('{{ printf "%s|%q|%d" .L .L .L }} {{ len .M }}{{ slice .L 0 }}{{ . }}', data) == (
        '[1]|"[1]"|[1] 2[1]map[L:[1] M:{"a":"\\u003c","b":1} T:string U:[a b]]'
    )
    assert run("{{ . }}", TypeNames()) == ""


def test_dates_are_asked_for_when_they_are_wanted() -> None:
    template = parse("{{ currentDate }} {{ yesterdayDate `x` }}")

    assert template.execute({}, today=lambda: date(2026, 3, 1)) == "2026-03-01 2026-02-28"


def test_bytes_that_are_no_text_become_replacement_characters_one_for_each() -> None:
    assert run('{{ slice "é日" 0 1 }}|{{ "\\xff\\xc3" }}|{{ "\\xe6\\x97" }}') == "\ufffd|\ufffd\ufffd|\ufffd\ufffd"


def test_bytes_of_one_character_that_meet_again_are_that_character() -> None:
    halves = "{{ $a := slice . 0 1 }}{{ $b := slice . 1 2 }}"

    assert run(halves + "{{ print $a $b }}{{ $a }}{{ $b }}{{ eq . (print $a $b) }}", "é") == "éétrue"
    assert run(halves + '{{ printf "%q %x" $a $b }}{{ json $a }}{{ len $a }}', "é") == '"\\xc3" a9"\\ufffd"1'


def test_half_surrogates_in_the_data_do_not_get_out() -> None:
    assert run("{{ . }}{{ json . }}{{ len . }}", "\ud83d") == '\ufffd"\\ufffd"3'


def test_a_variable_declared_in_a_branch_ends_with_it() -> None:
    assert run("{{ $x := 1 }}{{ with 2 }}{{ $x := . }}{{ end }}{{ range 2 }}{{ $x := . }}{{ end }}{{ $x }}") == "1"


def test_an_assignment_inside_a_loop_is_seen_after_it() -> None:
    assert run("{{ $k := 0 }}{{ $v := 0 }}{{ range $k, $v = .L }}{{ end }}{{ $k }}{{ $v }}", {"L": ["a", "b"]}) == "1b"
    assert run("{{ $v := 0 }}{{ range $v = .L }}{{ end }}{{ $v }}", {"L": ["a", "b"]}) == "b"


def test_what_has_no_field_because_it_is_nothing_is_nothing_again() -> None:
    assert run("{{ $x := .Nope }}{{ $x.A.B }}{{ (.Nope).A }}{{ (.Nope).A 1 }}", {}) == "<no value>" * 3


def test_a_break_in_the_else_of_a_loop_ends_that_loop_only() -> None:
    assert run("{{ range 2 }}a{{ range 0 }}{{ else }}b{{ break }}c{{ end }}d{{ end }}") == "abdabd"
    assert run("{{ range 2 }}a{{ range 0 }}{{ else }}b{{ continue }}c{{ end }}d{{ end }}") == "abab"


def test_a_blank_template_gives_way_to_a_second_of_its_name() -> None:
    assert run('{{ define "a" }} {{ end }}{{ define "a" }}x{{ end }}{{ template "a" . }}') == "x"
    assert run('{{ define "a" }}x{{ end }}{{ define "a" }} {{ end }}{{ template "a" . }}') == "x"


def test_the_same_text_is_parsed_once() -> None:
    assert parse("{{ 1 }}" + "x") is parse("{{ 1 }}x")


def test_line_ends_stay_as_they_are() -> None:
    assert run("a\r\n{{ 1 }}\r\n{{- 2 -}}\r\n b") == "a\r\n12b"
