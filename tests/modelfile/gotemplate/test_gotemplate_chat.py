"""Prompts made of messages and tools: images, thinking, the last turn, and what a template tells of its model."""

from typing import Any

import pytest

from ollamapy.errors import TemplateError
from ollamapy.modelfile import gochat
from ollamapy.wire.native import Message, Think, Tool, ToolCall, ToolCallFunction, ToolFunction

CONTENTS = "{{ range .Messages }}{{ .Role }}:{{ .Content }};{{ end }}"


def tool(**parameters: Any) -> Tool:
    return Tool(ToolFunction("f", "d", parameters))


def with_tools(template: str, *tools: Tool) -> str:
    return gochat.render("{{ range .Messages }}{{ end }}" + template, [Message("user", "q")], tools).text


def test_images_are_numbered_through_the_whole_prompt() -> None:
    messages = [
        Message("user", "a", images=("one", "two")),
        Message("assistant", "b"),
        Message("user", "see [img] and [img] here", images=("three", "four", "five")),
    ]

    rendered = gochat.render(CONTENTS, messages)

    assert rendered.text == "user:[img-0][img-1]a;assistant:b;user:[img-4]see [img-2] and [img-3] here;"
    assert rendered.images == ("one", "two", "three", "four", "five")


def test_the_images_of_merged_messages_are_kept() -> None:
    messages = [Message("user", "a", images=("one",)), Message("user", "b", images=("two",))]

    rendered = gochat.render("{{ .Prompt }}", messages)

    assert rendered == gochat.RenderedPrompt("[img-0]a\n\n[img-1]b", ("one", "two"))


@pytest.mark.parametrize(
    ("think", "shown"),
    [
        (None, "false [] false"),
        (False, "false [] true"),
        (True, "true [medium] true"),
        ("high", "true [high] true"),
    ],
)
@pytest.mark.parametrize("mode", ["legacy", "messages", "suffix"])
def test_every_mode_tells_how_to_think(think: Think, shown: str, mode: str) -> None:
    template = "{{ .Think }} [{{ .ThinkLevel }}] {{ .IsThinkSet }}"
    template += {"messages": "{{ range .Messages }}{{ end }}"}.get(mode, "")
    prompt = "p" if mode == "suffix" else ""

    assert gochat.render(template, prompt=prompt, suffix=prompt, think=think).text == shown


def test_a_request_does_not_change_its_messages() -> None:
    messages = [Message("USER", "a", images=("one",)), Message("user", "b")]

    gochat.render(CONTENTS, messages)

    assert messages == [Message("USER", "a", images=("one",)), Message("user", "b")]


def test_roles_that_differ_in_case_only_are_one() -> None:
    assert gochat.render(CONTENTS, [Message("USER", "a"), Message("user", "b")]).text == "user:a\n\nb;"


@pytest.mark.parametrize(
    ("template", "last"),
    [
        ("{{ .Prompt }}{{ .Response }}x{{ .System }}", "qr"),
        ("{{ .Prompt }}{{ print .Response .Prompt }}x", "qr"),
        ('{{ .Prompt }}{{ .Response | printf "<%s>" }}x', "qr"),
        ('{{ .Prompt }}{{ print (print "<" .Response ">") "!" }}x', "q<r"),
        ("{{ .Prompt }}{{ with .Response }}{{ . }}{{ end }}x", "qrx"),
        ("{{ .Prompt }}{{ if .Response }}{{ .Response }}y{{ else }}z{{ end }}x", "qr"),
        ("{{ .Prompt }}{{ if .Nope }}a{{ else }}{{ .Response }}y{{ end }}x", "qr"),
        ("{{ if .Nope }}{{ .Response }}{{ else }}{{ .Prompt }}{{ end }}x", ""),
        ("{{ .Prompt }}{{ $r := .Response }}{{ $r }}x", "q"),
        ("{{ .Prompt }}|", "q|r"),
    ],
)
def test_the_last_turn_ends_at_the_response(template: str, last: str) -> None:
    messages = [Message("user", "q"), Message("assistant", "r")]

    assert gochat.render(template, messages).text == last


def test_tools_show_their_schema_in_ollamas_order_and_without_other_keywords() -> None:
    schema = {
        "$defs": {"b": 1, "a": {"x": True}},
        "items": [1],
        "additionalProperties": False,
        "type": "object",
        "properties": {
            "n": {
                "description": "D",
                "type": ["object", "null"],
                "minimum": 1,
                "required": ["m"],
                "properties": {"m": {"enum": [1, "a", None]}},
                "anyOf": [{"type": "string"}],
                "items": {"type": "string"},
            }
        },
        "required": ["n"],
    }

    assert with_tools("{{ json (index .Tools 0).Function.Parameters }}", tool(**schema)) == (
        '{"type":"object","$defs":{"a":{"x":true},"b":1},"items":[1],"required":["n"],"properties":{"n":{'
        '"anyOf":[{"type":"string"}],"type":["object","null"],"items":{"type":"string"},"description":"D",'
        '"properties":{"m":{"enum":[1,"a",null]}},"required":["m"]}}}'
    )


def test_a_tool_without_parameters_has_an_empty_schema() -> None:
    assert with_tools("{{ .Tools }}", tool()) == (
        '[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"","properties":{}}}}]'
    )


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 1, "required": "a", "properties": [1]},
        {"type": "object", "properties": {"a": 1, "b": {"anyOf": 1, "type": {}, "enum": "x", "properties": 2}}},
    ],
)
def test_a_schema_of_the_wrong_types_does_no_harm(schema: dict[str, Any]) -> None:
    types = "{{ range .Function.Parameters.Properties }}{{ toTypeScriptType . }}{{ end }}"
    template = "{{ .Tools }}{{ range .Tools }}" + types + "{{ end }}"

    assert with_tools(template, tool(**schema)).startswith('[{"type":"function"')


def test_a_tools_own_parts_print_as_json() -> None:
    template = "{{ range .Tools }}{{ .Function.Parameters }}{{ .Items }}{{ end }}"

    assert with_tools(template, tool(type="object")) == '{"type":"object","properties":{}}<no value>'


def test_a_number_that_no_float_holds_is_an_error() -> None:
    call = ToolCall(ToolCallFunction("f", {"n": 10**400}))

    with pytest.raises(TemplateError, match="too large"):
        gochat.render(CONTENTS, [Message("assistant", "", tool_calls=(call,))])


def test_arguments_are_floats_and_print_as_json() -> None:
    call = ToolCall(ToolCallFunction("f", {"n": 1000000, "t": True}))
    calls = "{{ range .ToolCalls }}{{ .Function.Arguments }} {{ .Function.Arguments.n }}{{ end }}"
    template = "{{ range .Messages }}" + calls + "{{ end }}"

    rendered = gochat.render(template, [Message("assistant", "", tool_calls=(call,))])

    assert rendered.text == '{"n":1000000,"t":true} 1e+06'


def test_two_names_of_one_message_are_one_message() -> None:
    template = "{{ range $i, $m := .Messages }}{{ eq $m (index $.Messages 0) }} {{ end }}"

    assert gochat.render(template, [Message("user", "a"), Message("assistant", "b")]).text == "true false "


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{{ .Prompt }}", ()),
        ("{{ .Tools }}{{ .Suffix }}", ("tools", "insert")),
        (
            "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}{{ end }}",
            ("thinking",),
        ),
        ("{{ range .Messages }}<think>{{ .Thinking }}{{ end }}", ()),
    ],
)
def test_a_template_tells_what_its_model_can_do(template: str, found: tuple[str, ...]) -> None:
    assert gochat.go_capabilities(template) == found


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        ("{{ range .Messages }}{{ if .Thinking }}\n<t>\n{{ .Thinking }}\n</t>\n{{ end }}{{ end }}", ("<t>", "</t>")),
        ("{{ range .Messages }}{{ range .Images }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}", ("", "")),
        ("{{ range .Images }}{{ range .Messages }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}", ("<t>", "</t>")),
        (
            "{{ range .Messages }}{{ if 1 }}<a>{{ .Thinking }}</a>{{ else }}<b>{{ .Thinking }}</b>{{ end }}{{ end }}",
            ("<b>", "</b>"),
        ),
        ("{{ range slice .Messages 1 }}<t>{{ .Thinking }}</t>{{ end }}", ("<t>", "</t>")),
    ],
)
def test_thinking_stands_between_the_texts_around_it(template: str, tags: tuple[str, str]) -> None:
    assert gochat.load(template).thinking_tags == tags


@pytest.mark.parametrize(
    ("template", "tag"),
    [
        ("{{ if .ToolCalls }}<tool_call>{{ end }}", "<tool_call>"),
        ("{{ if and .ToolCalls true }}\n<tool_call>\n{{ range .ToolCalls }}x{{ end }}{{ end }}", "<tool_call>"),
        ("{{ if (len .ToolCalls) }}<tool_call>{{ end }}", "<tool_call>"),
        ("{{ if .A }}a{{ else }}{{ if .ToolCalls }} [T]\r\n{{ end }}{{ end }}", "[T]"),
        ("{{ if .ToolCalls }}  {{ range .ToolCalls }} <c>{ {{ end }}x{{ end }}", "<c>"),
        ("{{ if .ToolCalls }}{{ range .ToolCalls }} {{ else }}<e>{{ end }}x{{ end }}", "<e>"),
        ("{{ if .ToolCalls }}{{ range .ToolCalls }} {{ end }}x{{ end }}", "{"),
        ("{{ if .ToolCalls }}{{ .Content }}x{{ end }}", "{"),
        ("{{ if .ToolCalls }}{{ $x := 1 }}x{{ end }}", "x"),
        ("{{ if .ToolCalls }} {{ end }}", "{"),
    ],
)
def test_a_call_opens_with_the_first_text_where_calls_are_written(template: str, tag: str) -> None:
    assert gochat.load(template).tool_tag == tag


@pytest.mark.parametrize(
    ("template", "has"),
    [
        ('{{ .Tools }}{{ range .Messages }}{{ .ToolCalls }}{{ if eq .Role "tool" }}{{ end }}{{ end }}', True),
        ("{{ .Tools }}{{ .ToolCalls }}<tool_response>", True),
        ("{{ .Tools }}{{ .ToolCalls }}", False),
        ("{{ .Tools }}[TOOL_RESULTS]", False),
    ],
)
def test_a_round_trip_needs_calls_and_answers(template: str, has: bool) -> None:
    assert gochat.load(template).has_tool_round_trip is has


def test_a_bad_template_is_an_error_when_it_is_loaded() -> None:
    with pytest.raises(TemplateError, match='function "foo" not defined'):
        gochat.load("{{ foo }}")
