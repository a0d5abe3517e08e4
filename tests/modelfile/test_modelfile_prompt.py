"""What a chat template is given, and which messages go when they do not fit."""

from ollamapy.modelfile.prompt import assemble, drop_oldest, jinja_context, num_droppable, without_old_thoughts
from ollamapy.wire.native import Message, ToolCall, ToolCallFunction

SYSTEM = Message("system", "be kind")
USER = Message("user", "hi")
ASSISTANT = Message("assistant", "hello")


def test_the_models_system_comes_first_then_its_messages_then_the_requests() -> None:
    assert assemble("be kind", [ASSISTANT], [USER]) == (SYSTEM, ASSISTANT, USER)


def test_a_system_message_in_the_request_replaces_the_models() -> None:
    own = Message("system", "be brief")

    assert assemble("be kind", [], [own, USER]) == (own, USER)


def test_the_system_field_of_generate_replaces_the_models() -> None:
    assert assemble("be kind", [], [USER], replaces_system="be brief")[0] == Message("system", "be brief")


def test_system_messages_and_the_last_message_are_never_dropped() -> None:
    messages = (SYSTEM, USER, ASSISTANT, USER)

    assert drop_oldest(messages, 1) == (SYSTEM, ASSISTANT, USER)
    assert drop_oldest(messages, 9) == (SYSTEM, USER)
    assert num_droppable(messages) == 2


def test_thinking_is_named_as_templates_expect_it() -> None:
    context = jinja_context([USER], [], "low", bos_text="<s>", eos_text="</s>")

    assert context["enable_thinking"] is True
    assert context["reasoning_effort"] == "low"
    assert context["bos_token"] == "<s>"
    assert jinja_context([USER], [], False, bos_text="", eos_text="")["enable_thinking"] is False
    assert "enable_thinking" not in jinja_context([USER], [], None, bos_text="", eos_text="")


def test_tool_calls_and_results_keep_their_fields() -> None:
    call = Message("assistant", "", tool_calls=(ToolCall(ToolCallFunction("f", {"b": 1, "a": 2}), "call_1"),))
    result = Message("tool", "3", tool_name="f", tool_call_id="call_1")

    first, second = jinja_context([call, result], [], None, bos_text="", eos_text="")["messages"]

    assert first["tool_calls"][0]["function"] == {"name": "f", "arguments": {"b": 1, "a": 2}}
    assert second == {"role": "tool", "content": "3", "name": "f", "tool_call_id": "call_1"}


def test_old_thoughts_in_the_text_are_cut_before_the_last_user_message() -> None:
    thoughtful = Message("assistant", "<think>a\nb</think>\n\nfour <think>c</think>five")
    user = Message("user", "<think>x</think>")

    cut = without_old_thoughts((user, thoughtful, user, thoughtful))

    assert cut == (user, Message("assistant", "four five"), user, thoughtful)
    assert without_old_thoughts((thoughtful,)) == (thoughtful,)
