"""Thoughts and results of tools in the form that a template takes, told by its text."""

from typing import Any

from ollamapy.modelfile.forms import suited
from ollamapy.modelfile.jinjachat import render
from ollamapy.wire.native import Message, ToolCall, ToolCallFunction

PARTS = (
    "{% for b in m.content %}{% if b['type'] == 'thinking' %}[THINK]{{ b['thinking'] }}[/THINK]{% endif %}{% endfor %}"
)
RESULTS = "{{ m.tool_responses }}"
THOUGHT = {"role": "assistant", "content": "four", "thinking": "2+2"}


def messages_for(template: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    return suited(template, {"messages": list(messages)})["messages"]


def called(*names: str) -> dict[str, Any]:
    calls = [{"id": f"c{index}", "function": {"name": name}} for index, name in enumerate(names)]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def result(content: str, **fields: str) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


def test_a_template_that_looks_for_no_form_gets_the_messages_as_they_are() -> None:
    assert messages_for("{{ m.thinking }}", THOUGHT, called("f"), result("1")) == [THOUGHT, called("f"), result("1")]


def test_thoughts_become_a_part_of_the_content() -> None:
    thinking, text = {"type": "thinking", "thinking": "2+2"}, {"type": "text", "text": "four"}

    assert messages_for(PARTS, THOUGHT)[0]["content"] == [thinking, text]
    assert messages_for(PARTS, {**THOUGHT, "content": [text]})[0]["content"] == [thinking, text]
    assert messages_for(PARTS, {"role": "user", "content": "a"}) == [{"role": "user", "content": "a"}]


def test_results_go_into_the_message_that_called() -> None:
    [message, user] = messages_for(
        RESULTS,
        called("f", "g"),
        result('{"a": 1}', tool_call_id="c1"),
        result("[2]"),
        {"role": "user", "content": "?"},
    )

    assert message["tool_responses"] == [{"name": "g", "response": {"a": 1}}, {"name": "g", "response": "[2]"}]
    assert user["role"] == "user"


def test_a_result_has_its_own_name_or_that_of_the_call_in_its_place() -> None:
    results = (result("1"), result("2", name="named"), result("3"))

    [message] = messages_for(RESULTS, called("f", "g"), *results)

    assert [found["name"] for found in message["tool_responses"]] == ["f", "named", "g"]


def test_a_result_without_a_call_stays() -> None:
    assert messages_for(RESULTS, result("1")) == [result("1")]


def test_a_result_that_is_nested_too_deeply_stays_text() -> None:
    deep = '{"a": ' + "[" * 200_000

    assert messages_for(RESULTS, called("f"), result(deep))[0]["tool_responses"][0]["response"] == deep


def test_thoughts_stand_beside_calls_as_a_plan() -> None:
    call = ToolCall(ToolCallFunction("f", {}), "c1")
    message = Message("assistant", thinking="first f", tool_calls=(call,))

    assert render("{{ messages[0].tool_plan }}", (message,)) == "first f"
