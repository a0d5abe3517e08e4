"""Templates from strangers: each of these would hang, fill the memory or overflow the stack if nothing stopped it."""

import time
from typing import Any

import pytest

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import limits, parse

MAX_CPU_SECONDS = 30.0
"""A second is the aim. A machine may be many times slower than that; without the bounds it would be hours."""

TEXT = "é" * 500_000
DATA = {
    "S": "x" * 1_000_000,
    "U": TEXT,
    "V": TEXT[:-1] + "z",
    "L": list(range(100_000)),
    "M": {str(number): number for number in range(100_000)},
    "Form": "%d" * 300_000,
}
EACH = "{{{{ range 1000000 }}}}{{{{ $x := {} }}}}{{{{ end }}}}"

ENDLESS = {
    "a long loop": "{{ range 1000000000 }}{{ end }}",
    "loops in loops": "{{ range 99999 }}{{ range 99999 }}{{ eq . 1 2 3 4 5 }}{{ end }}{{ end }}",
    "much text": "{{ range 1000000000 }}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{ end }}",
    "large values": "{{ range 1000000 }}{{ $.S }}{{ end }}",
    "a template that calls itself": '{{ template "" . }}',
    "a tree of calls": '{{ define "a" }}{{ if lt (len .) 60 }}{{ $x := print . "a" }}{{ template "a" $x }}'
    '{{ template "a" $x }}{{ end }}{{ end }}{{ template "a" "" }}',
    "doubling": '{{ $x := "aaaaaaaa" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}',
    "wide": '{{ printf "%9999999d%9999999s" 1 2 }}',
    "wide bytes": '{{ printf "%#9999999v%#9999999v" (index "a" 0) (index "a" 0) }}',
    "precise": '{{ printf "%.9999999d%.9999999f" 1 1.5 }}',
    "precise unicode": '{{ printf "%.9999999U%.9999999U" 1 1 }}',
    "wide floats": '{{ printf "%+09999999f%+09999999f" 1.5 1.5 }}',
    "many arguments": "{{ range 1000000 }}{{ $x := and " + "1 " * 1000 + "}}{{ end }}",
    "many variables": "".join(f"{{{{ $x{n} := 1 }}}}" for n in range(4000)) + "{{ range 1000000 }}{{ $x0 }}{{ end }}",
    "sorting": "{{ range 1000000 }}{{ range $.M }}{{ break }}{{ end }}{{ end }}",
    **{
        call: EACH.format(call)
        for call in (
            *("eq $.S (print $.S)", "lt $.U $.V", "len $.U", "index $.U 5", "slice $.U 5", "slice $.L 5", "json $.S"),
            *("json $.L", "print $.M", "html $.S", "js $.U", "urlquery $.U", "not (print 1 1 1 1)", "printf $.Form"),
            *('printf "%q" $.U', 'printf "% #x" $.U', 'printf "%.0s" $.U', 'printf "" $.L'),
        )
    },
}
TOO_LARGE = {
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "blocks": "{{ if 1 }}" * 5000 + "{{ end }}" * 5000,
    "else after else": "{{ if 0 }}" + "{{ else if 0 }}" * 5000 + "{{ end }}",
    "parts": "{{ . }}" * 300_000,
    "characters": "x" * (limits.MAX_SOURCE_CHARS + 1),
    "a number": "{{ " + "9" * 1_000_000 + " }}",
}


@pytest.mark.parametrize("template", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_template_that_would_not_end_is_an_error_soon(template: str) -> None:
    program = parse(template)
    started = time.process_time()

    with pytest.raises(TemplateError):
        program.execute(DATA)
    assert time.process_time() - started < MAX_CPU_SECONDS


@pytest.mark.parametrize("template", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_text_that_is_too_large_or_too_deep_is_an_error_of_the_parser(template: str) -> None:
    started = time.process_time()

    with pytest.raises(TemplateError) as raised:
        parse(template)
    assert len(raised.value.message) < 2 * limits.MAX_MESSAGE_CHARS
    assert time.process_time() - started < MAX_CPU_SECONDS


@pytest.mark.parametrize("template", ["{{ . }}", "{{ json . }}", '{{ printf "%q" . }}', "{{ html . }}"])
def test_data_that_is_nested_too_deeply_is_an_error(template: str) -> None:
    value: list[Any] = []
    for _ in range(5000):
        value = [value]

    with pytest.raises(TemplateError, match="nested too deeply"):
        parse(template).execute(value)


def test_the_widest_width_that_go_takes_still_works() -> None:
    assert parse('{{ len (printf "%1000000d" 1) }}').execute({}) == "1000000"


def test_a_width_past_gos_own_bound_ends_the_format() -> None:
    assert parse('{{ printf "%1000000000d" 1 }}').execute({}) == "%!(NOVERB)%!(EXTRA int=1)"


def test_ninety_branches_in_a_row_are_fine() -> None:
    template = "{{ if 0 }}" + "{{ else if 0 }}a" * 90 + "{{ else }}ok{{ end }}"

    assert parse(template).execute({}) == "ok"


def test_an_error_quotes_only_the_start_of_a_large_value() -> None:
    with pytest.raises(TemplateError, match="range can't iterate over xxx") as raised:
        parse("{{ range .S }}{{ end }}").execute(DATA)

    assert len(raised.value.message) < 2 * limits.MAX_MESSAGE_CHARS
