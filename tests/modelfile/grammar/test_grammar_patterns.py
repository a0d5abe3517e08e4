"""Patterns against Python's `re`, which agrees with ECMAScript on what is tried here."""

import json
import re
from typing import Any

import pytest
from fakes import gbnf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.grammar import regex, schema_to_grammar
from ollamapy.modelfile.grammar.automaton import Dfa, both, of_length, of_pattern, of_texts, others, stays_within
from ollamapy.modelfile.grammar.budget import Budget

LETTERS = "abc"
TEXTS = st.text(LETTERS, max_size=7)


def dfa(pattern: str) -> Dfa:
    return of_pattern(regex.parse(pattern), Budget())


def patterns() -> st.SearchStrategy[str]:
    simple = st.sampled_from([*LETTERS, ".", "[ab]", "[^a]", "[a-b]", r"\w", r"\x61", "^", "$", ""])
    count = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?", "{2,3}?"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        group = st.builds("({})".format, inner) | st.builds("(?:{})".format, inner)
        return (
            st.builds("{}{}".format, inner, inner)
            | st.builds("{}|{}".format, inner, inner)
            | group
            | st.builds("{}{}".format, group, count)
        )

    return st.recursive(simple, larger, max_leaves=8)


@settings(max_examples=300, deadline=None)
@given(patterns(), st.lists(TEXTS, min_size=1, max_size=8))
def test_a_pattern_matches_what_re_finds(pattern: str, texts: list[str]) -> None:
    wanted = re.compile(pattern.replace("$", r"\Z"))
    found = dfa(pattern)

    assert [found.matches(text) for text in texts] == [bool(wanted.search(text)) for text in texts]


@settings(max_examples=100, deadline=None)
@given(patterns(), patterns(), TEXTS)
def test_automata_combine_as_their_languages_do(left: str, right: str, text: str) -> None:
    one, two = dfa(left), dfa(right)

    assert both(one, two, Budget()).matches(text) == (one.matches(text) and two.matches(text))
    assert others(one).matches(text) == (not one.matches(text))


@given(patterns(), st.integers(0, 4), st.none() | st.integers(0, 5))
@settings(max_examples=150, deadline=None)
def test_lengths_are_counted_only_where_needed(pattern: str, low: int, high: int | None) -> None:
    found, counted = dfa(pattern), of_length(low, high)
    assume(not found.is_empty)

    assert stays_within(found, low, high, Budget()) == both(found, others(counted), Budget()).is_empty


@given(st.lists(TEXTS, max_size=5), TEXTS)
def test_an_automaton_of_texts_accepts_just_them(texts: list[str], other: str) -> None:
    found = of_texts(texts, Budget())

    assert [found.matches(text) for text in [*texts, other]] == [text in texts for text in [*texts, other]]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"^\d\D\w\W\s\S$", ["1aa- x"], ["aaa- x", "1aa-xx"]),
        (r"^[\d\-x]$", ["1", "-", "x"], ["a"]),
        (r"^[a-]$", ["a", "-"], ["b"]),
        (r"^[\]\\^]$", ["]", "\\", "^"], ["["]),
        (r"^\t\n\r\f\v?[\b]$", ["\t\n\r\f\b"], ["t"]),
        (r"^\x41\u0042\0?$", ["AB"], ["x41"]),
        (r"^\.\*\/\$$", [".*/$"], ["ab/$"]),
        (r"^a{2}b{2,}c{0,1}$", ["aabb", "aabbbc"], ["abb", "aab"]),
        (r"^{a$", ["{a"], ["a"]),
        (r"^a{,2}$", ["a{,2}"], ["aa"]),
        (r"^(?<year>\d)(?P<more>x)(?:y)$", ["1xy"], ["1x"]),
        (r"^[^\x00-\x1f]$", ["é", "🙂"], ["\n"]),
        (r"^.$", ["a", "🙂"], ["\n", "\u2028"]),
        ("$^", [""], ["a", "ab"]),
        ("", ["", "x\ny"], []),
    ],
)
def test_the_syntax_of_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    grammar = gbnf.parse(schema_to_grammar({"type": "string", "pattern": pattern}))

    assert [text for text in yes if not grammar.accepts(json.dumps(text, ensure_ascii=False))] == []
    assert [text for text in no if grammar.accepts(json.dumps(text, ensure_ascii=False))] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a)", "there is no group to close, at character 1"),
        ("(a", "a group is not closed"),
        ("[a", "a class is not closed"),
        ("[]", "an empty class is not supported"),
        ("[b-a]", "a range in a class is not two characters in order"),
        (r"[\d-z]", "a range in a class is not two characters in order"),
        ("*a", "there is nothing to repeat"),
        ("a|{2}", "there is nothing to repeat"),
        ("a**", "there is nothing to repeat"),
        ("a*+", "there is nothing to repeat"),
        ("a{2}{3}", "there is nothing to repeat"),
        ("^*", "an anchor cannot be repeated"),
        ("a{3,2}", "the repetition ends before it begins"),
        ("(?=a)", "looking around and flags are not supported"),
        ("(?<!a)", "looking around and flags are not supported"),
        ("(?i)a", "looking around and flags are not supported"),
        (r"(a)\1", r"the escape \1 is not supported"),
        (r"\bword", r"the escape \b is not supported"),
        (r"\p{L}", r"the escape \p is not supported"),
        (r"\01", r"the escape \0 is not supported"),
        ("a\\", "the escape \\ is not supported"),
        (r"\x4", "an escape wants 2 hexadecimal digits"),
        (r"\u{41}", "an escape wants 4 hexadecimal digits"),
    ],
)
def test_a_pattern_that_is_wrong_or_not_regular_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        regex.parse(pattern)


def test_a_string_is_written_in_one_way_under_a_pattern() -> None:
    schema: Any = {"type": "string", "pattern": "^.{1,2}$"}
    grammar = gbnf.parse(schema_to_grammar(schema))

    assert grammar.accepts('"\\""')
    assert grammar.accepts('"\\t/"')
    assert not grammar.accepts('"\\u0041"')
    assert not grammar.accepts('"\\/"')
