"""A text before what a grammar accepts: channel headers go before an answer's JSON."""

import pytest
from fakes.gbnf import parse

from ollamapy.modelfile.grammar import check_grammar, json_grammar, with_prefix

HEADER = "<|channel|>final<|message|>"


def test_the_prefix_comes_before_what_the_grammar_accepts() -> None:
    grammar, root = with_prefix(json_grammar(), HEADER)
    found = parse(grammar.replace("root", "old").replace(f"{root} ::=", "root ::="))

    assert found.accepts(HEADER + '{"a": 1}')
    assert not found.accepts('{"a": 1}')
    assert not found.accepts(HEADER)


def test_a_rule_of_the_same_name_is_left_alone() -> None:
    grammar, root = with_prefix('root ::= start start-1\nstart ::= "a"\nstart-1 ::= "b"', "x")

    assert root == "start-2"
    assert grammar.startswith('start-2 ::= "x" root\n')


@pytest.mark.parametrize("grammar", ['root ::= "a" |', 'root ::= "a" # the end', 'root ::= "a"\r\n'])
def test_a_grammar_whose_last_line_could_go_on_keeps_its_meaning(grammar: str) -> None:
    text, _ = with_prefix(grammar, "x")

    check_grammar(text)
    assert text.endswith(grammar)


def test_quotes_and_line_ends_of_a_prefix_are_escaped() -> None:
    text, _ = with_prefix('root ::= "a"', '"\n\\')

    assert text.startswith('start ::= "\\"\\n\\\\" root\n')


def test_the_root_of_the_grammar_can_have_another_name() -> None:
    assert with_prefix('top ::= "a"', "x", "top") == ('start ::= "x" top\ntop ::= "a"', "start")
