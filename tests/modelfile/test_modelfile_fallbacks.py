"""Chats told in another form, for templates that refuse the first one or leave out a part of it."""

import json

import pytest

from ollamapy.errors import TemplateError, TemplateRefused
from ollamapy.modelfile.fallbacks import MAX_CHANGES, asks_for_calls, fallback_messages, lost_text, tell_tools
from ollamapy.modelfile.jinjachat import attempt, render
from ollamapy.wire.native import Message, Tool, ToolCall, ToolCallFunction, ToolFunction

SYSTEM = Message("system", "be kind")
USER = Message("user", "hi")
ASSISTANT = Message("assistant", "hello")
WEATHER = ToolCallFunction("weather", {"city": "Zürich"})
CALL = Message("assistant", "let me see", tool_calls=(ToolCall(WEATHER, "call_1"),))
RESULT = Message("tool", "sunny", tool_name="weather", tool_call_id="call_1")
OFFER = Tool(ToolFunction("weather", "Tells the weather", {"type": "object"}))
ALTERNATE = "chat template: Conversation roles must alternate user/assistant/user/assistant/..."


def test_a_refused_system_text_goes_in_front_of_the_first_user_message() -> None:
    messages = (SYSTEM, Message("system", "be brief"), USER, ASSISTANT, USER)

    changed = fallback_messages(messages, "System role not supported")

    assert changed == (Message("user", "be kind\n\nbe brief\n\nhi"), ASSISTANT, USER)


def test_a_system_text_alone_becomes_a_user_message() -> None:
    assert fallback_messages((SYSTEM,), "System role not supported") == (Message("user", "be kind"),)


def test_a_chat_without_a_system_text_has_none_to_move() -> None:
    assert fallback_messages((USER,), "System role not supported") is None


def test_messages_in_a_row_become_one_with_all_that_they_carry() -> None:
    first = Message("user", "look", thinking="a", images=("1",))
    second = Message("user", "", thinking="b", images=("2",))

    changed = fallback_messages((first, second, ASSISTANT), ALTERNATE)

    assert changed == (Message("user", "look", thinking="a\n\nb", images=("1", "2")), ASSISTANT)


def test_a_chat_that_the_assistant_begins_gets_an_empty_user_message() -> None:
    assert fallback_messages((SYSTEM, ASSISTANT, USER), ALTERNATE) == (SYSTEM, Message("user"), ASSISTANT, USER)


def test_calls_and_results_of_tools_become_text() -> None:
    unnamed = Message("tool", "rainy")

    changed = fallback_messages((USER, CALL, RESULT, unnamed), "Only user and assistant roles are supported!")

    call = '{"tool_calls": [{"name": "weather", "arguments": {"city": "Zürich"}}]}'
    results = '{"tool_response": {"tool": "weather", "content": "sunny"}}\n\n{"tool_response": {"content": "rainy"}}'
    assert changed == (USER, Message("assistant", f"let me see\n\n{call}"), Message("user", results))


def test_ids_of_calls_become_nine_letters_and_digits_and_results_keep_to_their_call() -> None:
    refusal = "Tool call IDs should be alphanumeric strings with length 9!"
    messages = (
        USER,
        CALL,
        RESULT,
        Message("assistant", tool_calls=(ToolCall(WEATHER), ToolCall(WEATHER, "abc123DEF"))),
    )
    answers = (Message("tool", "1"), Message("tool", "2", tool_call_id="abc123DEF"))

    changed = fallback_messages((*messages, *answers), refusal)

    assert changed is not None
    (first,), (second, third) = changed[1].tool_calls, changed[3].tool_calls
    assert all(len(call.id) == 9 and call.id.isalnum() for call in (first, second, third))
    assert third.id == "abc123DEF"
    assert len({first.id, second.id, third.id}) == 3
    assert [m.tool_call_id for m in changed if m.role == "tool"] == [first.id, second.id, third.id]
    assert fallback_messages(changed, refusal.replace("Tool", "A")) is None


def test_text_beside_thoughts_and_calls_joins_the_thoughts() -> None:
    message = Message("assistant", "text", thinking="thoughts", tool_calls=CALL.tool_calls)

    changed = fallback_messages((USER, message), "Cannot pass both content and thinking in an assistant message")

    assert changed == (USER, Message("assistant", "", thinking="thoughts\n\ntext", tool_calls=CALL.tool_calls))


@pytest.mark.parametrize("refusal", ["no", "Only user and assistant roles are supported!"])
def test_a_refusal_that_nothing_answers_stays(refusal: str) -> None:
    assert fallback_messages((USER, ASSISTANT, USER), refusal) is None


def test_nothing_changes_when_the_prompt_has_everything() -> None:
    prompt = 'be  kind hi weather "su\\nnny"'

    assert lost_text((SYSTEM, USER, CALL, Message("tool", "su\nnny")), [OFFER], prompt) is None


def test_a_system_text_that_is_left_out_moves() -> None:
    assert lost_text((SYSTEM, USER), [], "hi") == (Message("user", "be kind\n\nhi"),)


def test_a_call_that_is_left_out_becomes_text() -> None:
    changed = lost_text((USER, CALL, RESULT), [], "hi sunny")

    assert changed is not None
    assert [message.role for message in changed] == ["user", "assistant", "user"]


def test_tools_that_are_left_out_are_told_in_a_system_message() -> None:
    changed = lost_text((USER,), [OFFER], "hi")

    assert changed is not None
    assert changed[0].role == "system"
    assert '{"name":"weather","description":"Tells the weather","parameters":{"type":"object"}}' in changed[0].content
    assert "<tool_call>" in changed[0].content
    assert changed[1:] == (USER,)


ROLES = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
NEWEST_ONLY = "{{ messages[-1].content }}"


def test_a_template_that_shows_the_newest_message_alone_still_tells_the_system_text_and_the_tools() -> None:
    text, num_changes = attempt(NEWEST_ONLY, (SYSTEM, USER), [OFFER])

    assert text.startswith("These tools can be called:")
    assert text.endswith("hi")
    assert num_changes == 3


def test_a_prompt_that_tells_how_to_call_is_known_by_it() -> None:
    told = lost_text((USER,), [OFFER], "hi")

    assert told is not None
    assert asks_for_calls(told[0].content)
    assert asks_for_calls(json.dumps(f"a {told[0].content} b"))
    assert not asks_for_calls("Write a call as you like: <tool_call>")


def test_tools_are_told_although_somebody_else_wrote_their_name() -> None:
    text, _ = attempt(ROLES, (Message("user", "call weather"),), [OFFER])

    assert asks_for_calls(text)


def test_a_call_is_told_although_the_name_stands_among_the_tools() -> None:
    text, num_changes = attempt("{{ tools | tojson }}" + ROLES, (USER, CALL, RESULT), [OFFER])

    assert num_changes == 1
    assert '{"tool_calls": [{"name": "weather", "arguments": {"city": "Zürich"}}]}' in text


def test_a_template_that_fails_on_unknown_names_is_taken_at_its_word() -> None:
    faulty = "{% for m in messages for c in m.tool_calls or [] %}{{ 1 / (c.function.name == 'weather') }}{% endfor %}"
    template = "{{ tools | tojson }}" + faulty.replace(" for c in", " %}{% for c in").replace(
        "endfor", "endfor %}{% endfor"
    )

    assert attempt(template + ROLES, (USER, CALL, RESULT), [OFFER])[1] == 0


@pytest.mark.parametrize(
    ("result", "is_told"), [('{"sky": ["clear", 7]}', True), ('{"sky": ["dark"]}', False), ("dark", False)]
)
def test_a_result_may_stand_in_another_notation(result: str, is_told: bool) -> None:
    messages = (USER, CALL, Message("tool", result))

    assert (lost_text(messages, [], "hi weather{sky:<clear>}") is None) is is_told


def test_contents_are_given_as_parts_to_a_template_that_wants_them() -> None:
    template = (
        "{% for m in messages %}{% for p in m.content if p.type == 'text' %}[{{ p.text }}]{% endfor %}{% endfor %}"
    )

    assert render(template, (SYSTEM, USER)) == "[be kind][hi]"


def test_a_template_that_rewrites_the_newest_text_keeps_its_way() -> None:
    assert render("{{ messages[0].content.upper() }}", (USER,)) == "HI"


@pytest.mark.parametrize("fault", ["raise_exception('no')", "1 / 0"])
def test_a_change_that_fails_leaves_the_prompt_before_it(fault: str) -> None:
    template = f"{{{{ {fault} if 'kind' in messages[-1].content }}}}{NEWEST_ONLY}"

    assert render(template, (SYSTEM, USER)) == "hi"


def test_a_template_that_shows_nothing_is_not_tried_for_ever() -> None:
    assert attempt("x", (SYSTEM, USER), [OFFER]) == ("x", MAX_CHANGES)


def test_a_template_that_refuses_every_form_is_given_up() -> None:
    template = "{{ raise_exception('user message must come after system' if messages | length > 1 else 'no') }}"

    with pytest.raises(TemplateRefused):
        render(template, (SYSTEM, USER, USER, ASSISTANT))


def test_a_template_that_refuses_everything_says_why() -> None:
    with pytest.raises(TemplateRefused, match="not today"):
        render("{{ raise_exception('not today') }}", (SYSTEM, USER))


def test_a_template_that_cannot_be_read_is_not_tried_again() -> None:
    with pytest.raises(TemplateError, match="Expected an expression"):
        render("{% if %}", (SYSTEM, USER))


def test_tools_are_told_in_the_first_system_message() -> None:
    new, *rest = tell_tools((USER,), (OFFER,))
    grown, *others = tell_tools((SYSTEM, USER), (OFFER,))

    assert (new.role, rest, others) == ("system", [USER], [USER])
    assert "Tells the weather" in new.content
    assert asks_for_calls(new.content)
    assert grown.content == f"be kind\n\n{new.content}"
