"""What is printed reads back as what it was; what cannot be printed is refused; a stored model is always shown."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.parse import ROLES, Command, Modelfile, parse
from ollamapy.modelfile.printer import generated_modelfile, print_modelfile, quote

FROM = Command("from", "a")

texts = st.one_of(
    st.text(),
    st.text(alphabet='" \t\r\nx#\\'),
    st.text(alphabet=st.characters(exclude_categories=["C", "Z"], include_characters=' "\t\n\r')),
    st.lists(st.sampled_from(['"""', '"', "\n", "\r\n", " ", "\t", "x", "é", "\u200b"])).map("".join),
)
plain_names = st.sampled_from(
    ["from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "requires"]
)
commands = st.one_of(
    st.builds(Command, plain_names, texts),
    st.builds(Command, st.from_regex(r"[A-Za-z0-9_]*", fullmatch=True), texts, is_parameter=st.just(True)),
    st.builds(Command, st.just("message"), texts, role=st.sampled_from(ROLES)),
)
modelfiles = st.lists(commands).map(lambda found: Modelfile((*found, FROM)))


def reads_back(value: str, written: str) -> bool:
    try:
        return parse(f"FROM a\nSYSTEM {written}\nLICENSE z\n").commands[1:] == (
            Command("system", value),
            Command("license", "z"),
        )
    except InvalidInput:
        return False


@given(modelfiles)
def test_what_is_printed_reads_back_as_what_it_was(modelfile: Modelfile) -> None:
    try:
        text = print_modelfile(modelfile)
    except InvalidInput:
        return

    assert parse(text) == modelfile
    assert parse(text.encode()) == modelfile


@given(texts)
@example('"')
@example('""')
@example('x"\ny')
@example('x"""\ny')
@example('x""" \t\ny')
@example('"""x"""')
@example("\ufeff")
@example("\ud800")
def test_a_value_is_refused_only_when_no_way_of_writing_it_reads_back(value: str) -> None:
    """The quotes are tried one after the other: the slow and obvious way to learn what a Modelfile can hold."""
    can_be_written = any(reads_back(value, quotes + value + quotes) for quotes in ("", '"', '"""'))

    try:
        text = print_modelfile(Modelfile((FROM, Command("system", value))))
    except InvalidInput:
        assert not can_be_written
    else:
        assert can_be_written
        assert parse(text).commands[1].value == value


@given(st.text(alphabet='" \t\r\nx#\\FROM'))
def test_what_was_parsed_can_be_printed(text: str) -> None:
    """Every file has a printed form: nothing that the parser lets in is refused on the way out."""
    try:
        modelfile = parse("FROM a\nSYSTEM " + text)
    except InvalidInput:
        return

    assert parse(print_modelfile(modelfile)) == modelfile


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", ""),
        ("a b", "a b"),
        ('say "hi"', 'say "hi"'),
        ("# no comment", "# no comment"),
        ("a\tb", "a\tb"),
        (" a", '" a"'),
        ("a ", '"a "'),
        ("\ta", '"\ta"'),
        ("a\nb", '"a\nb"'),
        ("a\rb", '"a\rb"'),
        ('a\n"b"', '"""a\n"b""""'),
        ('"a" b', '""""a" b"""'),
    ],
)
def test_a_value_is_quoted_only_where_it_must_be(value: str, written: str) -> None:
    assert quote(value) == written


def test_commands_are_printed_one_after_the_other() -> None:
    modelfile = Modelfile(
        (
            FROM,
            Command("top_k", "5", is_parameter=True),
            Command("", "odd", is_parameter=True),
            Command("message", "a: b", role="user"),
            Command("requires", "0.14"),
        )
    )

    assert print_modelfile(modelfile) == "FROM a\nPARAMETER top_k 5\nPARAMETER  odd\nMESSAGE user a: b\nREQUIRES 0.14\n"


def test_a_modelfile_without_from_is_not_printed() -> None:
    with pytest.raises(InvalidInput, match="no FROM line"):
        print_modelfile(Modelfile((Command("from", "x", is_parameter=True),)))


@pytest.mark.parametrize(
    "command",
    [
        Command("FROM", "a"),
        Command("parameter", "a"),
        Command("nope", "a"),
        Command("message", "a"),
        Command("message", "a", role="tool"),
        Command("system", "a", role="user"),
        Command("top-k", "1", is_parameter=True),
        Command("top_k\n", "1", is_parameter=True),
        Command("top_k", "1", is_parameter=True, role="user"),
    ],
)
def test_a_command_that_the_parser_never_gives_is_not_printed(command: Command) -> None:
    with pytest.raises(InvalidInput, match="not an instruction of a Modelfile"):
        print_modelfile(Modelfile((FROM, command)))


def test_a_refusal_names_the_character_and_the_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        print_modelfile(Modelfile((FROM, Command("stop", "a\u200b\x07", is_parameter=True))))

    assert str(caught.value) == r"a Modelfile cannot hold the character '\u200b' (in PARAMETER stop)"


def test_a_refusal_of_triple_quotes_names_the_place() -> None:
    with pytest.raises(InvalidInput) as caught:
        print_modelfile(Modelfile((FROM, Command("message", '"""\nx', role="user"))))

    assert str(caught.value) == 'a Modelfile cannot hold a line that ends in """ inside a value (in MESSAGE user)'


def test_a_small_model_is_shown_with_its_template() -> None:
    text = generated_modelfile(short_name="m:latest", from_path="/models/blobs/sha256-00")

    assert text == (
        '# Modelfile generated by "ollamapy show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        "# FROM m:latest\n"
        "\n"
        "FROM /models/blobs/sha256-00\n"
        "TEMPLATE {{ .Prompt }}\n"
    )


def shown() -> str:
    return generated_modelfile(
        short_name="ns/m:8b",
        from_path="/my models/sha256-1",
        adapters=["/sha256-2", "/sha256-3"],
        draft="/sha256-4",
        projectors=["/sha256-5"],
        template="{{ .System }}\n{{ .Prompt }}",
        system='Say "hi".\nThen stop.',
        renderer="r",
        parser="p",
        params={"stop": ["<|a|>", " b"], "num_ctx": 1048576, "temperature": 0.7, "use_mmap": True, "top_p": 1.0},
        licenses=["MIT", "Apache\nLicense"],
        messages=[("user", "a: b"), ("assistant", "")],
    )


def test_a_large_model_is_shown_in_the_order_of_the_contract() -> None:
    assert shown().split("\n\n", 1)[1] == (
        "FROM /my models/sha256-1\n"
        "ADAPTER /sha256-2\n"
        "ADAPTER /sha256-3\n"
        "DRAFT /sha256-4\n"
        "FROM /sha256-5\n"
        'TEMPLATE "{{ .System }}\n{{ .Prompt }}"\n'
        'SYSTEM """Say "hi".\nThen stop."""\n'
        "RENDERER r\n"
        "PARSER p\n"
        "PARAMETER stop <|a|>\n"
        'PARAMETER stop " b"\n'
        "PARAMETER num_ctx 1048576\n"
        "PARAMETER temperature 0.7\n"
        "PARAMETER use_mmap true\n"
        "PARAMETER top_p 1\n"
        "LICENSE MIT\n"
        'LICENSE "Apache\nLicense"\n'
        "MESSAGE user a: b\n"
        "MESSAGE assistant \n"
    )


def test_a_shown_model_reads_back() -> None:
    modelfile = parse(shown())

    assert len(modelfile.commands) == 19
    assert parse(print_modelfile(modelfile)) == modelfile


def test_a_stored_model_that_no_modelfile_can_hold_is_shown_all_the_same() -> None:
    text = generated_modelfile(
        short_name="m:latest", from_path="/b", system='"""\n\u200b', messages=[("tool", "x")], params={"a-b": None}
    )

    assert text.endswith('SYSTEM """"""\n\u200b"""\nMESSAGE tool x\n')
