"""What each line does to a conversation: values alone, no terminal and no daemon."""

from typing import Any

import pytest

from ollamapy.cli import help as pages
from ollamapy.cli.session import Ask, Leave, List, Load, Save, Say, Session, Show, unquoted, wants_more
from ollamapy.wire.native import Details, Message, ShownMessage, ShowResponse


def shown(*capabilities: str, **fields: Any) -> ShowResponse:
    return ShowResponse(**({"details": Details(), "model_info": {}, "capabilities": capabilities} | fields))


def session(**fields: Any) -> Session:
    return Session(**({"model": "m", "shown": shown("completion")} | fields))


def user(text: str) -> Message:
    return Message(role="user", content=text)


WORDS_SET = "Set parameter 'grammar' to 'root ::= \"a\" | .'"


def system(text: str) -> Message:
    return Message(role="system", content=text)


def test_a_line_is_a_message_sent_with_everything_before_it() -> None:
    talk = session(think=True, keep_alive="5m", format="json", options={"seed": 1})

    assert talk.on_text("Why?") == [Ask()]
    talk.answered("Because.", "Hm.")
    assert talk.on_text("Really?") == [Ask()]
    request = talk.chat_request()
    assert request.messages == (
        user("Why?"),
        Message(role="assistant", content="Because.", thinking="Hm."),
        user("Really?"),
    )
    assert (request.model, request.think, request.keep_alive) == ("m", True, "5m")
    assert (request.format, request.options) == ("json", {"seed": 1})


@pytest.mark.parametrize("text", ["", "  ", "\n", '""""""'])
def test_nothing_is_ignored(text: str) -> None:
    talk = session()

    assert talk.on_text(text) == []
    assert talk.messages == []


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ('"""', True),
        ('"""a', True),
        ('"""a\n', True),
        ('"""a"""', False),
        ('"""a\nb"""', False),
        ('"""\na\n"""', False),
        ('"""a""" ', True),
        ('a """', False),
        ('/set system """a', True),
        ('/set  system  """a\nb"""', False),
        ("/set system a", False),
        ('/set parameter grammar """root ::=', True),
        ('/set parameter stop """a', False),
        ('/show """', False),
        ("", False),
    ],
)
def test_open_quotes_want_more_lines(text: str, more: bool) -> None:
    assert wants_more(text) is more


@pytest.mark.parametrize(
    ("text", "message"),
    [('"""a\nb"""', "a\nb"), ('"""\na\n"""', "\na\n"), ('"""a"""', "a"), ("a\nb", "a\nb"), ('say "hi"', 'say "hi"')],
)
def test_quotes_go_and_line_ends_stay(text: str, message: str) -> None:
    assert unquoted(text) == message


@pytest.mark.parametrize(
    ("text", "actions"),
    [
        ("/bye", [Leave()]),
        ("/exit", [Leave()]),
        ("/list", [List("")]),
        ("/listx", [List("")]),
        ("/list ab", [List("ab")]),
        ("/load x", [Load("x")]),
        ("/load", [Say("Usage:\n  /load <modelname>")]),
        ("/load a b", [Say("Usage:\n  /load <modelname>")]),
        ("/save x", [Save("x")]),
        ("/save", [Say("Usage:\n  /save <modelname>")]),
        ("/show info", [Show("info")]),
        ("/show template", [Show("template")]),
        ("/show", [Say(pages.SHOW, is_talk=True)]),
        ("/show x", [Say("Unknown command '/show x'. Type /? for help")]),
        ("/?", [Say(pages.MAIN, is_talk=True)]),
        ("/help", [Say(pages.MAIN, is_talk=True)]),
        ("/help set", [Say(pages.SET, is_talk=True)]),
        ("/? /set", [Say(pages.SET, is_talk=True)]),
        ("/? show", [Say(pages.SHOW, is_talk=True)]),
        ("/? shortcuts", [Say(pages.SHORTCUTS, is_talk=True)]),
        ("/set", [Say(pages.SET, is_talk=True)]),
        ("/set system", [Say(pages.SET, is_talk=True)]),
        ("/set x", [Say("Unknown command '/set x'. Type /? for help")]),
        ("/x", [Say("Unknown command '/x'. Type /? for help")]),
        ("/", [Say("Unknown command '/'. Type /? for help")]),
        ("/set parameter num_ctx", [Say(pages.PARAMETERS, is_talk=True)]),
        ("/set parameter num_ctx abc", [Say('Couldn\'t set parameter: "invalid int value [abc]"')]),
        ("/set parameter top_p abc", [Say('Couldn\'t set parameter: "invalid float value [abc]"')]),
        ("/set parameter use_mmap yes", [Say('Couldn\'t set parameter: "invalid bool value [yes]"')]),
        (
            "/set parameter mirostat 3",
            [Say('Couldn\'t set parameter: "option \\"mirostat\\" must be between 0 and 2: found 3"')],
        ),
        ("/set parameter logit_bias 7=1 8", [Say('Couldn\'t set parameter: "invalid bias [8]"')]),
        ("/set parameter x 1", [Say("Couldn't set parameter: \"unknown parameter 'x'\"")]),
        ("/set format xml", [Say("Invalid or missing format. For 'json' mode use '/set format json'")]),
        ("/set format", [Say("Invalid or missing format. For 'json' mode use '/set format json'")]),
    ],
)
def test_commands_that_leave_the_session_as_it_is(text: str, actions: list[Any]) -> None:
    talk = session()

    assert talk.on_text(text) == actions
    assert talk == session()


@pytest.mark.parametrize(
    ("text", "said", "field", "value"),
    [
        ("/set wordwrap", "Set 'wordwrap' mode.", "word_wrap", True),
        ("/set nowordwrap", "Set 'nowordwrap' mode.", "word_wrap", False),
        ("/set verbose", "Set 'verbose' mode.", "is_verbose", True),
        ("/set quiet", "Set 'quiet' mode.", "is_verbose", False),
        ("/set format json", "Set format to 'json' mode.", "format", "json"),
        ("/set noformat", "Disabled format.", "format", None),
        ("/set parameter num_ctx 4096", "Set parameter 'num_ctx' to '4096'", "options", {"num_ctx": 4096}),
        ("/set parameter mirostat 2", "Set parameter 'mirostat' to '2'", "options", {"mirostat": 2}),
        (
            "/set parameter logit_bias 7=1 8=-2",
            "Set parameter 'logit_bias' to '7=1, 8=-2'",
            "options",
            {"logit_bias": {"7": 1.0, "8": -2.0}},
        ),
        ("/set parameter top_p 0.5 1", "Set parameter 'top_p' to '0.5, 1'", "options", {"top_p": 0.5}),
        ('/set parameter stop a "b', "Set parameter 'stop' to 'a, \"b'", "options", {"stop": ["a", '"b']}),
        ('/set parameter grammar root ::= "a" | .', WORDS_SET, "options", {"grammar": 'root ::= "a" | .'}),
        ('/set parameter grammar """root ::= "a" | ."""', WORDS_SET, "options", {"grammar": 'root ::= "a" | .'}),
        ("/set system Be  brief.", "Set system message.", "system", "Be  brief."),
        ('/set system """Be\nbrief."""', "Set system message.", "system", "Be\nbrief."),
    ],
)
def test_settings(text: str, said: str, field: str, value: Any) -> None:
    talk = session(is_verbose="quiet" in text, word_wrap="nowordwrap" in text, format="x" if "no" in text else None)

    assert talk.on_text(text) == [Say(said)]
    assert getattr(talk, field) == value


def test_history_is_switched_in_silence() -> None:
    talk = session()

    assert talk.on_text("/set nohistory") == []
    assert not talk.writes_history
    assert talk.on_text("/set history") == []
    assert talk.writes_history


def test_a_deprecated_parameter_is_not_set() -> None:
    talk = session()

    assert talk.on_text("/set parameter low_vram 1") == [Say("warning: parameter low_vram is deprecated", is_talk=True)]
    assert talk.options == {}


def test_thinking_is_switched_with_a_warning_where_the_model_cannot() -> None:
    warning = Say('warning: model "m" does not support thinking output', is_talk=True)
    talk = session()
    assert talk.on_text("/set think") == [warning, Say("Set 'think' mode.")]
    assert talk.think is True

    talk = session(shown=shown("completion", "thinking"))
    assert talk.on_text("/set think high") == [Say("Set 'think' mode to 'high'.")]
    assert talk.think == "high"
    assert talk.on_text("/set nothink") == [Say("Set 'nothink' mode.")]
    assert talk.think is False
    assert talk.think_is_chosen


def test_a_system_message_joins_the_conversation_or_replaces_the_last_one() -> None:
    talk = session()
    talk.on_text("/set system one")
    talk.on_text("/set system two")
    talk.on_text("hi")
    talk.on_text("/set system three")

    assert talk.messages == [system("two"), user("hi"), system("three")]


def test_clearing_keeps_the_system_message_that_was_set_here() -> None:
    talk = session()
    talk.on_text("/set system one")
    talk.on_text("hi")

    assert talk.on_text("/clear") == [Say("Cleared session context")]
    assert talk.messages == [system("one")]


def test_another_model_starts_a_new_conversation_with_the_same_settings() -> None:
    talk = session(options={"seed": 1}, system="one", messages=[user("hi")])

    talk.loaded("n", shown("completion", "thinking"), True)

    assert (talk.model, talk.think, talk.options, talk.messages) == ("n", True, {"seed": 1}, [system("one")])


def test_saving_asks_for_the_parent_with_all_messages() -> None:
    own = shown(details=Details(parent_model="base:latest"), messages=(ShownMessage(role="user", content="a"),))
    request = session(shown=own, system="s", options={"seed": 1}, messages=[user("b")]).save_request("new")

    assert (request.model, request.from_, request.system) == ("new", "base:latest", "s")
    assert request.parameters == {"seed": 1}
    assert request.messages == (user("a"), user("b"))


@pytest.mark.parametrize("parent", ["", "/models/blobs/sha256-ab"])
def test_saving_asks_for_the_model_itself_when_its_parent_has_no_name(parent: str) -> None:
    assert session(shown=shown(details=Details(parent_model=parent))).save_request("new").from_ == "m"


def test_showing_parameters_tells_the_models_and_the_users() -> None:
    answer = shown(parameters='stop                           "x"\ntop_k                          5')

    assert session().described("parameters", shown()) == (
        "Model defined parameters:\n  No additional parameters were specified for this model.\n"
    )
    assert session(options={"seed": 1, "stop": ["a", "b"]}).described("parameters", answer) == (
        "Model defined parameters:\n"
        '  stop                           "x"\n'
        "  top_k                          5\n"
        "\n"
        "User defined parameters:\n"
        "  seed                           1\n"
        "  stop                           [a b]\n"
    )


def test_showing_a_field_says_so_when_there_is_nothing() -> None:
    talk, nothing = session(), shown()

    assert talk.described("license", nothing) == "No license was specified for this model."
    assert talk.described("template", nothing) == "No prompt template was specified for this model."
    assert talk.described("system", nothing) == "No system message was specified for this model."
    assert talk.described("license", shown(license="MIT")) == "MIT"
    assert talk.described("system", shown(system="model's")) == "model's\n"
    assert session(system="mine").described("system", shown(system="model's")) == "mine\n"
