"""What an answer looks like, chunk by chunk."""

from typing import Any

from ollamapy.cli.answer import View, timings
from ollamapy.wire.native import AnswerMessage, ChatResponse, GenerateResponse, ToolCall, ToolCallFunction


def chunk(response: str = "", **fields: Any) -> GenerateResponse:
    return GenerateResponse(model="m", created_at="", done=False, response=response, **fields)


def written(view: View, *chunks: GenerateResponse | ChatResponse) -> str:
    return "".join(view.push(part, 80) for part in chunks) + view.end()


def test_text_comes_as_it_is_and_ends_with_two_newlines() -> None:
    view = View(is_terminal=False)

    assert written(view, chunk("You "), chunk("said"), chunk("")) == "You said\n\n"
    assert view.content == "You said"


def test_thinking_stands_before_the_answer_between_its_marks() -> None:
    view = View(is_terminal=False)

    assert written(view, chunk(thinking="Hm"), chunk(thinking="m."), chunk("Yes")) == (
        "Thinking...\nHmm.\n...done thinking.\n\nYes\n\n"
    )
    assert (view.content, view.thinking) == ("Yes", "Hmm.")


def test_thinking_that_ends_with_a_newline_gets_no_second_one() -> None:
    assert written(View(is_terminal=False), chunk(thinking="Hm\n"), chunk("Yes")) == (
        "Thinking...\nHm\n...done thinking.\n\nYes\n\n"
    )


def test_an_answer_that_ends_while_thinking_is_closed_all_the_same() -> None:
    assert written(View(is_terminal=False), chunk(thinking="Hm")) == "Thinking...\nHm\n...done thinking.\n\n\n\n"


def test_hidden_thinking_is_kept_and_not_shown() -> None:
    view = View(is_terminal=False, hide_thinking=True)

    assert written(view, chunk(thinking="Hm"), chunk("Yes")) == "Yes\n\n"
    assert view.thinking == "Hm"


def test_a_terminal_shows_thinking_in_grey_and_its_marks_in_bold() -> None:
    assert written(View(is_terminal=True), chunk(thinking="Hm"), chunk("Yes")) == (
        "\x1b[90m\x1b[1mThinking...\x1b[22m\nHm\n\x1b[1m...done thinking.\x1b[0m\n\nYes\n\n"
    )


def test_only_a_terminal_gets_wrapped_and_cleaned_text() -> None:
    long = "word " * 20

    assert "\n" in View(is_terminal=True).push(chunk(long), 40)
    assert View(is_terminal=True, word_wrap=False).push(chunk(long), 40) == long
    assert View(is_terminal=False).push(chunk(long + "\x1b"), 40) == long + "\x1b"


def test_a_stopped_answer_leaves_the_terminal_in_order() -> None:
    view = View(is_terminal=True)
    view.push(chunk(thinking="Hm"))

    assert view.stop() == "\x1b[0m\n"
    assert View(is_terminal=True).stop() == ""


def test_a_call_of_a_tool_is_told() -> None:
    calls = tuple(ToolCall(function=ToolCallFunction(name=name, arguments={"a": 1, "b": "ü"})) for name in ("f", "g"))
    message = AnswerMessage(role="assistant", content="", tool_calls=calls)
    part = ChatResponse(model="m", created_at="", done=False, message=message)

    assert written(View(is_terminal=False), part) == (
        '  Model called a non-existent function \'f()\' with arguments: {"a":1,"b":"ü"}\n'
        '  Model called a non-existent function \'g()\' with arguments: {"a":1,"b":"ü"}\n\n'
    )


def test_timings_are_the_contracts_example() -> None:
    last = chunk(
        total_duration=1_234_567_891,
        load_duration=12_500_000,
        prompt_eval_count=26,
        prompt_eval_duration=130_079_000,
        eval_count=259,
        eval_duration=4_232_710_375,
    )

    assert timings(last) == (
        "total duration:       1.234567891s\n"
        "load duration:        12.5ms\n"
        "prompt eval count:    26 token(s)\n"
        "prompt eval duration: 130.079ms\n"
        "prompt eval rate:     199.88 tokens/s\n"
        "eval count:           259 token(s)\n"
        "eval duration:        4.232710375s\n"
        "eval rate:            61.19 tokens/s\n"
    )


def test_timings_leave_zeros_out() -> None:
    assert timings(chunk(total_duration=1000)) == "total duration:       1µs\n"
