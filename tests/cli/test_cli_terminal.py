"""What only a terminal shows: the conversation, Ctrl-C, bars and wrapping. Keys go through a pseudo terminal."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.fake_daemon import FakeDaemon, model
from fakes.pseudo_terminal import PseudoTerminal

Start = Callable[..., PseudoTerminal]
CTRL_C, CTRL_D, CTRL_G, CTRL_J, ENTER, UP = "\x03", "\x04", "\x07", "\n", "\r", "\x1b[A"


def chunk(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "created_at": "", "done": False, **fields}


def said(text: str) -> dict[str, Any]:
    return chunk(message={"role": "assistant", "content": text})


def contents(daemon: FakeDaemon) -> list[list[str]]:
    return [[message["content"] for message in asked["messages"]] for asked in daemon.requests("/api/chat")]


def test_a_conversation_remembers_what_was_said(terminal: Start, daemon: FakeDaemon) -> None:
    screen = terminal("run", "m", "--keepalive", "1h")
    screen.expect(">>> ")
    screen.press("hello" + ENTER)
    screen.expect("You said: hello")
    screen.expect(">>> ")
    screen.press("again" + ENTER)
    screen.expect("You said: again")
    screen.expect(">>> ")
    screen.press("/bye" + ENTER)

    assert screen.wait() == 0
    assert contents(daemon) == [["hello"], ["hello", "You said: hello", "again"]]
    assert daemon.requests("/api/generate") == [{"model": "m", "keep_alive": "1h"}]


def test_triple_quotes_and_ctrl_j_make_messages_of_several_lines(terminal: Start, daemon: FakeDaemon) -> None:
    screen = terminal("run", "m")
    screen.expect(">>> ")
    screen.press('"""one' + ENTER)
    screen.expect("... ")
    screen.press('two"""' + ENTER)
    screen.expect("You said: one\ntwo")
    screen.expect(">>> ")
    screen.press("three" + CTRL_J)
    screen.expect("... ")
    screen.press("four" + ENTER)
    screen.expect("You said: three\nfour")
    screen.expect(">>> ")
    screen.press("\x1b[200~five\nsix\x1b[201~" + ENTER)
    screen.expect("You said: five\nsix")
    screen.expect(">>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0
    assert [messages[-1] for messages in contents(daemon)] == ["one\ntwo", "three\nfour", "five\nsix"]


def test_ctrl_c_at_the_prompt_clears_the_line_or_tells_how_to_leave(terminal: Start, daemon: FakeDaemon) -> None:
    screen = terminal("run", "m")
    screen.expect(">>> ")
    screen.press("not this")
    screen.expect("not this")
    screen.press(CTRL_C)
    screen.expect(">>> Send a message")  # the line that was thrown away is shown once more before
    screen.press(CTRL_C)
    screen.expect("Use Ctrl + d or /bye to exit.")
    screen.expect(">>> ")
    screen.press("this" + ENTER)
    screen.expect("You said: this")
    screen.expect(">>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0
    assert contents(daemon) == [["this"]]


def test_ctrl_c_stops_the_answer_and_not_the_conversation(terminal: Start, daemon: FakeDaemon) -> None:
    screen = terminal("run", "m")
    screen.expect(">>> ")
    daemon.answer("/api/chat", lines=[said("Once upon")], then="hold")
    screen.press("tell me" + ENTER)
    screen.expect("Once upon")
    screen.press(CTRL_C)
    daemon.wait_for("GONE", "/api/chat")
    screen.expect(">>> ")
    daemon.answer("/api/chat", lines=[said("The end."), chunk(done=True, message={"role": "assistant", "content": ""})])
    screen.press("go on" + ENTER)
    screen.expect("The end.")
    screen.expect(">>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0
    assert contents(daemon) == [["tell me"], ["tell me", "go on"]]


def test_what_is_typed_during_an_answer_is_the_next_message(terminal: Start, daemon: FakeDaemon) -> None:
    """Its Enter must send it, and its letters must not stand in the answer."""
    end = chunk(done=True, message={"role": "assistant", "content": " a time."})
    daemon.answer("/api/chat", lines=[said("Once upon")], then=[end])
    screen = terminal("run", "m")
    screen.expect(">>> ")
    screen.press("tell me" + ENTER)
    screen.expect("Once upon")
    screen.press("typed ahead" + ENTER)
    daemon.answer("/api/chat", lines=[said("Yes."), chunk(done=True, message={"role": "assistant", "content": ""})])
    screen.expect(" a time.\n\n")
    screen.expect(">>> typed ahead")
    screen.expect("Yes.")
    screen.expect(">>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0
    assert contents(daemon) == [["tell me"], ["tell me", "Once upon a time.", "typed ahead"]]


def test_ctrl_c_stops_a_single_answer_with_exit_code_0(terminal: Start, daemon: FakeDaemon) -> None:
    daemon.answer("/api/generate", lines=[chunk(response="Once upon")], then="hold")
    screen = terminal("run", "m", "tell me")
    screen.expect("Once upon")
    screen.press(CTRL_C)

    assert screen.wait() == 0
    daemon.wait_for("GONE", "/api/generate")
    assert "Traceback" not in screen.shown


def test_ctrl_c_stops_a_pull_with_the_shells_code(terminal: Start, daemon: FakeDaemon) -> None:
    line = {"status": "pulling a80c4f17acd5", "digest": "sha256:a", "total": 4000, "completed": 1000}
    daemon.answer("/api/pull", lines=[{"status": "pulling manifest"}, line], then="hold")
    screen = terminal("pull", "m", columns=100)
    screen.expect("pulling manifest")
    screen.expect("pulling a80c4f17acd5:  25% ▕█")
    screen.expect("1 KB/  4 KB")
    screen.press(CTRL_C)

    assert screen.wait() == 130
    assert screen.raw.rstrip().endswith("\x1b[?25h"), "the cursor is back"
    daemon.wait_for("GONE", "/api/pull")
    assert "Traceback" not in screen.shown


def test_commands_change_the_session(terminal: Start, daemon: FakeDaemon) -> None:
    screen = terminal("run", "m")
    for line, answer in (
        ("/set parameter num_ctx abc", 'Couldn\'t set parameter: "invalid int value [abc]"'),  # 23
        ("/set parameter num_ctx", "Available Parameters:"),  # 24
        ("/set parameter seed 7", "Set parameter 'seed' to '7'"),
        ("/set system Be brief.", "Set system message."),
        ("/set verbose", "Set 'verbose' mode."),
        ("hi", "total duration:       1.234567891s"),
        ("/show system", "Be brief."),
        ("/show info", "architecture      llama"),
        ("/list THINK", "thinker:latest    a80c4f17acd5"),
        ("/load gone", "Couldn't find model 'gone'"),
        ("/load thinker", "Loading model 'thinker'"),
        ("/frob", "Unknown command '/frob'. Type /? for help"),
        ("/save new", "Created new model 'new'"),
    ):
        screen.expect(">>> ")
        screen.press(line + ENTER)
        screen.expect(answer)
    daemon.answer("/api/create", status=400, body={"error": "invalid model name"})
    screen.expect(">>> ")
    screen.press("/save bad:na:me" + ENTER)  # 25
    screen.expect("error: The model name 'bad:na:me' is invalid")
    screen.expect(">>> ")
    screen.press("/bye" + ENTER)

    assert screen.wait() == 0
    asked = daemon.requests("/api/chat")[0]
    assert asked["options"] == {"seed": 7}
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert daemon.requests("/api/create")[0] == {
        "model": "new",
        "from": "thinker",
        "system": "Be brief.",
        "parameters": {"seed": 7},
        "messages": [{"role": "system", "content": "Be brief."}],
    }


def test_a_refusal_to_think_goes_on_and_any_other_error_ends_it(terminal: Start, daemon: FakeDaemon) -> None:
    screen = terminal("run", "m")
    screen.expect(">>> ")
    daemon.answer("/api/chat", status=400, body={"error": '"m" does not support thinking'})
    screen.press("hi" + ENTER)
    screen.expect('error: 400 Bad Request: "m" does not support thinking')
    screen.expect(">>> ")
    daemon.answer("/api/chat", status=500, body={"error": "model runner has unexpectedly stopped"})
    screen.press("hi" + ENTER)
    screen.expect("Error: 500 Internal Server Error: model runner has unexpectedly stopped")

    assert screen.wait() == 1


def test_a_model_begins_with_its_own_messages(terminal: Start, daemon: FakeDaemon) -> None:
    own = [{"role": role, "content": f"{role} text"} for role in ("system", "user", "assistant")]
    daemon.answer("/api/show", body=model(messages=own))
    screen = terminal("run", "m")
    screen.expect(">>> user text\nassistant text\n\n>>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0
    assert "system text" not in screen.shown


def test_history_comes_back_in_the_next_conversation(terminal: Start, daemon: FakeDaemon, home: Path) -> None:
    screen = terminal("run", "m")
    screen.expect(">>> ")
    screen.press("first question" + ENTER)
    screen.expect("You said: first question")
    screen.expect(">>> ")
    screen.press("/set nohistory" + ENTER)
    screen.expect(">>> ")
    screen.press("secret" + ENTER)
    screen.expect("You said: secret")
    screen.expect(">>> ")
    screen.press(CTRL_D)
    screen.wait()

    file = home / "home" / "history"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "secret" not in file.read_text()

    again = terminal("run", "m")
    again.expect(">>> ")
    again.press(UP + UP + ENTER if "nohistory" in file.read_text() else UP + ENTER)
    again.expect("You said: first question")
    again.expect(">>> ")
    again.press(CTRL_D)
    assert again.wait() == 0


def test_the_editors_text_comes_back_into_the_line(
    terminal: Start, daemon: FakeDaemon, home: Path, monkeypatch: Any
) -> None:
    editor = home / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s, edited" "$(cat "$1")" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("OLLAMA_EDITOR", str(editor))
    screen = terminal("run", "m")
    screen.expect(">>> ")
    screen.press("text" + CTRL_G)
    screen.expect("text, edited")
    screen.press(ENTER)
    screen.expect("You said: text, edited")
    screen.expect(">>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0


def test_an_editor_that_is_missing_is_told(terminal: Start, daemon: FakeDaemon, monkeypatch: Any) -> None:
    monkeypatch.setenv("OLLAMA_EDITOR", "no-such-editor")
    screen = terminal("run", "m")
    screen.expect(">>> ")
    screen.press("text" + CTRL_G)
    screen.expect('error: editor "no-such-editor" not found, set OLLAMA_EDITOR')
    screen.expect(">>> text")
    screen.press(ENTER)
    screen.expect("You said: text")
    screen.expect(">>> ")
    screen.press(CTRL_D)

    assert screen.wait() == 0


def test_14_an_embedding_model_in_a_terminal_asks_for_a_text(terminal: Start) -> None:
    screen = terminal("run", "embed-m")
    screen.expect('Error: embedding models require input text. Usage: ollamapy run embed-m "your text here"')

    assert screen.wait() == 1


def test_words_wrap_on_a_terminal_unless_told_otherwise(terminal: Start, daemon: FakeDaemon) -> None:
    text = "alpha beta gamma delta epsilon zeta"
    wrapped = terminal("run", "m", text, columns=30)
    assert wrapped.wait() == 0
    assert "\x1b[4D\x1b[K\r\ngamma delta epsilon zeta" in wrapped.raw, "the word is erased and written again"

    plain = terminal("run", "m", "--nowordwrap", text, columns=30)
    assert plain.wait() == 0
    assert text in plain.shown
