"""The generic parser, rule by rule (contract: template.md 8.3)."""

from functools import partial

import pytest
from tool_answers import NOW, PARIS, WEATHER, read, tool, warned

from ollamapy.modelfile.tools import generic
from ollamapy.modelfile.tools.found import Call, Found

BRACE = generic.new
LIST = partial(generic.new, tag="[")
TAG = partial(generic.new, tag="<tool_call>")
CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
SECOND = '{"name": "get_time", "parameters": {}}'


def test_text_before_the_tag_is_content() -> None:
    assert read(TAG, f"I look.\n<tool_call>{CALL}</tool_call>") == Found("I look.\n", calls=(PARIS,))


def test_a_partial_tag_is_held_back() -> None:
    parser = TAG([WEATHER])

    assert parser.push("a <tool_") == Found("a ")
    assert parser.push("b") == Found("<tool_b")


@pytest.mark.parametrize("tag", ["{", "["])
def test_a_bracket_counts_only_when_nothing_but_space_came_before(tag: str) -> None:
    assert read(partial(generic.new, tag=tag), f"See [{CALL}]") == Found(f"See [{CALL}]")


@pytest.mark.parametrize("text", [CALL, f" \n{CALL}"])
def test_space_before_a_bracket_is_content(text: str) -> None:
    assert read(BRACE, text) == Found(text[: text.index("{")], calls=(PARIS,))


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        '{"name": "get_weather", "parameters": {"city": "Paris"}}',
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}',
        '{"type": "function", "function": ' + CALL + "}",
        '{"tool_calls": [' + CALL + "]}",
        '{"get_weather": {"city": "Paris"}}',
        '{"get_weather": "{\\"city\\": \\"Paris\\"}"}',
        '{"name": "get_weather", "arguments": "no object", "parameters": {"city": "Paris"}}',
    ],
)
def test_arguments_are_found_wherever_models_put_them(text: str) -> None:
    assert read(BRACE, text) == Found(calls=(PARIS,))


def test_an_object_without_a_name_is_the_arguments() -> None:
    assert read(TAG, '<tool_call>get_weather\n{"city": "Paris"}') == Found(calls=(PARIS,))


def test_an_argument_called_like_the_tool_but_no_object_is_no_argument_list() -> None:
    assert read(TAG, '<tool_call>{"get_time": 3}') == Found(calls=(Call("get_time", {"get_time": 3}),))


def test_a_name_alone_is_a_call_without_arguments() -> None:
    assert read(BRACE, '{"name": "get_time"}') == Found(calls=(NOW,))


def test_another_objects_name_is_no_call_without_arguments() -> None:
    text = '<tool_call>get_time {"who": {"name": "Bob"}}'

    assert read(TAG, text) == Found(calls=(Call("get_time", {"who": {"name": "Bob"}}),))


def test_an_object_whose_arguments_cannot_be_read_is_passed_over() -> None:
    text = f'<tool_call>{{"name": "get_weather", "arguments": [1]}} {CALL}'

    assert read(TAG, text) == Found(calls=(PARIS,))


def test_what_is_no_json_is_passed_over() -> None:
    assert read(TAG, f"<tool_call>{{get_weather}} {CALL}") == Found(calls=(PARIS,))


@pytest.mark.parametrize("new", [BRACE, LIST, TAG])
@pytest.mark.parametrize("separator", ["", ",", "\n", " and "])
def test_the_search_goes_on_after_a_call(new: partial[object], separator: str) -> None:
    text = f"{CALL}{separator}{SECOND}"
    text = {"[": f"[{text}]", "<tool_call>": f"<tool_call>{text}</tool_call>"}.get(
        getattr(new, "keywords", {}).get("tag"), text
    )

    assert read(new, text) == Found(calls=(PARIS, NOW))  # type: ignore[arg-type]


def test_brackets_in_arguments_close_no_list() -> None:
    text = '[{"name": "get_time", "arguments": {"a": [1, "]"]}}, {"name": "get_time", "arguments": {"b": ["[", [2]]}}]'

    found = read(LIST, text)

    assert found == Found(calls=(Call("get_time", {"a": [1, "]"]}), Call("get_time", {"b": ["[", [2]]})))


@pytest.mark.parametrize(("rest", "content"), [("", ""), ("]", ""), (" so it is {x}", "so it is {x}")])
def test_a_list_that_closed_leaves_the_rest_to_content(rest: str, content: str) -> None:
    assert read(LIST, f"[{CALL}]{rest}") == Found(content, calls=(PARIS,))


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (BRACE, '{"answer": 4} and text get_time {}'),
        (BRACE, '{"name": "fly", "arguments": {}} get_time'),
        (BRACE, "{get_time} {}"),
        (LIST, f"[1, 2] {CALL}"),
        (BRACE, '{"a": "'),
        (LIST, "["),
        (BRACE, "{" + CALL),
    ],
)
def test_a_bracket_without_a_call_is_content(new: partial[object], text: str) -> None:
    assert read(new, text) == Found(text)  # type: ignore[arg-type]


def test_the_longest_of_names_that_begin_together_is_taken() -> None:
    tools = (tool("get"), tool("get_all"), tool("forget"), tool("get_alley"))

    assert read(TAG, '<tool_call>get_all {"a": 1}', tools).calls == (Call("get_all", {"a": 1}),)
    assert read(TAG, '<tool_call>{"a": 1} forget ', tools).calls == (Call("forget", {"a": 1}),)


def test_a_name_that_may_grow_is_waited_for() -> None:
    parser = TAG((tool("get"), tool("get_all")))

    assert parser.push('<tool_call>{"a": 1} get').calls == ()
    assert parser.push("_").calls == ()
    assert parser.push("all").calls == (Call("get_all", {"a": 1}),)


def test_without_offered_tools_nothing_is_a_call() -> None:
    assert read(BRACE, CALL, ()) == Found(CALL)


@pytest.mark.parametrize("text", ['{"name": "fly", "arguments": {}}', '{"name": "get_time", "argu', "no call"])
def test_what_follows_a_tag_without_a_call_is_dropped_with_a_warning(text: str) -> None:
    assert warned(read(TAG, f"a <tool_call>{text}")) == ("a ", (), 1)


@pytest.mark.parametrize("rest", ["</tool_call>", "\n</tool_call>\n more"])
def test_what_follows_a_call_is_dropped(rest: str) -> None:
    assert read(TAG, f"<tool_call>{CALL}{rest}") == Found(calls=(PARIS,))


@pytest.mark.parametrize(("rest", "num_warnings"), [("}\n", 0), (" and so", 1)])
def test_text_after_a_bare_call_is_dropped_with_a_warning(rest: str, num_warnings: int) -> None:
    assert warned(read(BRACE, CALL + rest)) == ("", (PARIS,), num_warnings)


def test_a_call_in_a_list_that_cannot_be_read_after_another_is_told() -> None:
    assert warned(read(LIST, f'[{CALL}, {{"name": "fly"}}] ok')) == ("ok", (PARIS,), 1)


def test_an_object_after_a_bare_call_that_is_none_is_content() -> None:
    assert read(BRACE, f'{CALL} {{"x": 1}} ok') == Found(' {"x": 1} ok', calls=(PARIS,))
