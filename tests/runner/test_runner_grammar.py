"""Answers held to a grammar, by llama.cpp on the starter's real weights, at a temperature that leaves it no sense."""

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from fakes.answers import Answer
from fakes.runner_process import RunnerProcess

from ollamapy.modelfile.grammar import json_grammar, schema_to_grammar, tool_call_grammar, with_prefix
from ollamapy.modelfile.grammar.calls import JsonCall
from ollamapy.wire.native import Tool, ToolFunction
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load

pytestmark = pytest.mark.weights

CORPUS = Path(__file__).parents[1] / "modelfile" / "grammar" / "schemas.yaml"
SCHEMAS = {case["name"]: case["schema"] for case in yaml.safe_load(CORPUS.read_text())}
TRIED = [
    "capital",
    "code",
    "date-time",
    "discriminated",
    "enum of anything",
    "latitude",
    "odd names",
    "open with a type",
    "order",
    "percent",
    "review",
    "short text",
    "weather tool",
]
PROMPT = "<|im_start|>user\nAnswer in JSON: {name}<|im_end|>\n<|im_start|>assistant\n"
CHECKER = jsonschema.Draft202012Validator.FORMAT_CHECKER
IDS = count(1)


@pytest.fixture(scope="module")
def runner(starter_gguf: Path) -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        process.load(Load("llama", str(starter_gguf), 1024, 4096, 8))
        yield process
        assert process.close() == 0, process.stderr


def request(grammar: str, prompt: str = "list", **options: Any) -> Generate:
    chosen = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "num_predict": 300, **options}
    return Generate(next(IDS), PROMPT.format(name=prompt), Options(**chosen), 1024, grammar=grammar)


def answer(runner: RunnerProcess, grammar: str, **options: Any) -> Answer:
    (found,) = runner.generate(request(grammar, **options))
    return found


@pytest.fixture(scope="module")
def ended(runner: RunnerProcess) -> dict[str, list[str]]:
    """Of four answers under each schema those that came to their end: which ones do is up to roundings."""
    grammars = {name: schema_to_grammar(SCHEMAS[name]) for name in TRIED}
    asked = [(name, request(grammar, name, seed=seed)) for name, grammar in grammars.items() for seed in range(4)]
    answers = runner.generate(*(one for _, one in asked))
    found: dict[str, list[str]] = {name: [] for name in TRIED}
    for (name, _), one in zip(asked, answers, strict=True):
        if one.finished.reason == "stop":
            found[name].append(one.text)
    return found


@pytest.mark.parametrize("name", TRIED)
def test_every_answer_that_ends_satisfies_its_schema(ended: dict[str, list[str]], name: str) -> None:
    for text in ended[name]:
        jsonschema.validate(json.loads(text), SCHEMAS[name], format_checker=CHECKER)


def test_a_third_of_the_answers_end(ended: dict[str, list[str]]) -> None:
    """Otherwise the test above would say little. Fifty of 52 do."""
    assert sum(map(len, ended.values())) >= 52 / 3


def test_an_answer_that_is_cut_short_says_so(runner: RunnerProcess) -> None:
    found = answer(runner, schema_to_grammar(SCHEMAS["order"]), num_predict=9)

    assert (found.finished.reason, found.finished.num_output) == ("length", 9)
    assert found.text.startswith("{")


def test_an_answer_ends_with_its_value(runner: RunnerProcess) -> None:
    found = answer(runner, schema_to_grammar({"enum": ["red", "green"]}))

    assert found.text in ('"red"', '"green"')
    assert found.finished.reason == "stop"


def test_json_mode_gives_an_object(runner: RunnerProcess) -> None:
    answers = runner.generate(*(request(json_grammar(), seed=seed, num_predict=150) for seed in range(4)))

    assert all(found.text.startswith("{") for found in answers)
    ended = [found.text for found in answers if found.finished.reason == "stop"]
    assert all(isinstance(json.loads(text), dict) for text in ended)


def test_the_starter_makes_a_valid_tool_call(runner: RunnerProcess) -> None:
    schema = SCHEMAS["weather tool"]
    tools = [Tool(ToolFunction("get_weather", parameters=schema))]

    grammar = tool_call_grammar(tools, [JsonCall("<tool_call>", "</tool_call>")])

    answers = runner.generate(*(request(grammar, seed=seed) for seed in range(12)))

    ended = [found.text for found in answers if found.finished.reason == "stop"]
    assert ended
    for text in ended:
        call = json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))
        assert call["name"] == "get_weather"
        jsonschema.validate(call["arguments"], schema)


def test_characters_of_several_tokens_are_held_to_the_grammar_as_a_whole(runner: RunnerProcess) -> None:
    found = answer(runner, schema_to_grammar({"type": "string", "pattern": "^[\u4e00-\u9fff🙂]{3}$"}))

    assert len(json.loads(found.text)) == 3


def test_control_tokens_are_not_taken_for_their_names(runner: RunnerProcess) -> None:
    """The token <|im_start|> adds no text, so an answer made of it would be empty."""
    found = answer(runner, 'root ::= "<|im_start|>" "a"')

    assert found.text == "<|im_start|>a"


def test_the_same_seed_gives_the_same_answer(runner: RunnerProcess) -> None:
    """At a heat where all tokens that may follow are equally likely: roundings depend on where the cells lie."""
    grammar = schema_to_grammar(SCHEMAS["review"])

    first, second, other = (
        answer(runner, grammar, seed=seed, temperature=1e30, num_predict=30).text for seed in (7, 7, 8)
    )

    assert first == second != other


def test_constrained_and_free_answers_go_together(runner: RunnerProcess) -> None:
    """Greedy answers of one batch are those of each alone, where the model is sure of them."""
    counted, cat = "10, 20, 30, 40, 50, 60,", "The cat sat on the mat. " * 5 + "The cat"
    asked = [(counted, ""), (counted, 'root ::= " " [0-9]+ ","'), (cat, ""), (cat, 'root ::= " sat" " on"')] * 2
    options = Options(temperature=0, num_predict=5)

    answers = runner.generate(
        *(Generate(next(IDS), prompt, options, 1024, grammar=grammar) for prompt, grammar in asked)
    )

    assert [found.text for found in answers] == [" 70, ", " 70,", " sat on the mat.", " sat on"] * 2


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= (",
        "root ::= root",
        'start ::= "a"',
        "root ::= nothing",
        'root ::= "\\q"',
        "root ::= [^",
        "root ::= <|nothing|>",
        'root ::= "a"{99999999999999999999}',
        "\ud800",
        " ",
    ],
)
def test_a_grammar_that_llama_cannot_read_is_refused_and_nobody_else_notices(
    runner: RunnerProcess, grammar: str
) -> None:
    bad, good = request("root ::= x", temperature=0), request("", temperature=0, num_predict=3)
    bad = Generate(bad.id, bad.prompt, bad.options, 1024, grammar=grammar.encode("utf-8", "replace").decode())

    refused, fine = runner.generate(bad, good)

    assert (refused.refusal.code, refused.refusal.message) == ("invalid", "llama.cpp cannot read the grammar")
    assert fine.finished.num_output == 3


def test_a_grammar_that_comes_again_starts_at_its_beginning(runner: RunnerProcess) -> None:
    """The runner keeps a few of them, and each answer has a copy of its own."""
    digits = [str(digit) for digit in range(10)] * 2

    answers = runner.generate(*(request(f'root ::= "{digit}" [a-z]{{3}}') for digit in digits))

    texts = [found.text for found in answers]
    assert [text[0] for text in texts] == digits
    assert all(text[1:].isalpha() and len(text) == 4 for text in texts)


def test_the_rule_to_begin_with_can_be_another(runner: RunnerProcess) -> None:
    text, root = with_prefix('root ::= "a"', "b: ")
    whole = msgspec.structs.replace(request(text), grammar_root=root)

    (found,) = runner.generate(whole)

    assert found.text == "b: a"


def test_a_grammar_that_takes_too_long_ends_its_own_answer_only(starter_gguf: Path) -> None:
    """Whatever the check lets through, the loop is held up once and not again."""
    with RunnerProcess((sys.executable, "-m", "fakes.impatient_runner")) as process:
        process.load(Load("llama", str(starter_gguf), 1024, 4096, 8))
        held, free = request('root ::= "a"*'), request("", temperature=0, num_predict=3)

        slow, fine = process.generate(held, free)

        assert (slow.refusal.code, slow.text) == ("invalid", "")
        assert slow.refusal.message == "the grammar is too ambiguous: it takes too long to follow"
        assert fine.finished.num_output == 3
        assert process.close() == 0, process.stderr


def test_an_answer_that_is_stuck_under_a_grammar_is_cut_short(runner: RunnerProcess) -> None:
    """A "stop" would say that its value is complete."""
    stuck = msgspec.structs.replace(request('root ::= "7"{200}'), max_repeats=30)

    (found,) = runner.generate(stuck)

    assert (found.finished.reason, found.text) == ("length", "7" * 31)


def test_a_dead_end_is_a_refusal_and_no_crash(runner: RunnerProcess) -> None:
    """No bytes spell a character of such a number."""
    found = answer(runner, 'root ::= "a" [\\U00300000]')

    assert found.text == "a"
    assert found.refusal.message == "the model has no token with which the grammar can go on"
