"""The parser is chosen by what the template writes."""

from pathlib import Path

import pytest
from tool_answers import NOW, PARIS, read, warned

from ollamapy.modelfile.tools import choose as chooser
from ollamapy.modelfile.tools.choose import also_hermes, choose
from ollamapy.modelfile.tools.found import Found

CORPUS = Path(__file__).parents[1] / "jinja_corpus"
HARMONY = "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>"
CODER = "<tool_call>\n<function={{ f }}>\n<parameter={{ k }}>\n{{ v }}\n</parameter>\n</function>\n</tool_call>"
HERMES = '<tool_call>\n{"name": "{{ f }}", "arguments": {{ a }}}\n</tool_call>'


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (HARMONY, "harmony"),
        (HERMES, "hermes"),
        (CODER, "qwen3_coder"),
        ("<start_function_call>call:{{ f }}<end_function_call>", "functiongemma"),
        ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ f }}<｜tool▁sep｜>", "deepseek"),
        ("[TOOL_CALLS][{{ calls }}]", "mistral"),
        ("[TOOL_CALLS]{{ f }}[ARGS]{{ a }}", "mistral"),
        ("<|START_ACTION|>[{{ calls }}]<|END_ACTION|>", "command_r"),
        ('Write Action: ```json [{"tool_name": title }]```', "command_r"),
        ("respond only with <|tool_call|> followed by a JSON list", "granite"),
        ("<|python_tag|>{{ f }}.call()", "llama3"),
        ("<|python_start|>{{ calls }}<|python_end|>", "llama3"),
        ('<|start_header_id|>{"name": "{{ f }}", "parameters": {{ a }}}', "llama3"),
        ("<tool_call>{{ f }}\n<arg_key>{{ k }}</arg_key>\n<arg_value>{{ v }}</arg_value>", "glm45"),
        ("<|tool_call>call:{{ f }}<tool_call|>", "gemma4"),
        ('<minimax:tool_call><invoke name="{{ f }}">', "minimax_m2"),
        ('<｜DSML｜function_calls>\n<｜DSML｜invoke name="{{ f }}">', "deepseek_v3.2"),
        ("<|tool_call_start|>[{{ calls }}]<|tool_call_end|>", "lfm2"),
        ("List of tools: <|tool_list_start|>[{{ tools }}]", "lfm2"),
        ("<function_calls>{{ calls }}</function_calls>", "olmo3"),
        ("<|tool_calls_section_begin|>{{ calls }}", "kimi_k2"),
        ("<|im_system|>tool_declare<|im_middle|>", "kimi_k2"),
        ("<TOOLCALL>[{{ calls }}]</TOOLCALL>", "nemotron"),
        (">>>all\n{{ content }}", "functionary"),
        ("<|python_tag|> <function={{ f }}>{{ a }}</function>", "function_tag"),
        ("[gMASK]<sop><|observation|>", "glm4"),
        ("{{ m.content }}", "generic"),
    ],
)
def test_a_jinja_template_tells_by_its_marks(template: str, name: str) -> None:
    assert choose(template, "jinja").name == name


@pytest.mark.parametrize(
    ("template", "name"),
    [
        (HERMES, "generic"),
        ("[TOOL_CALLS] {{ .ToolCalls }}", "generic"),
        (CODER, "qwen3_coder"),
        ("<start_function_call>", "functiongemma"),
        ("<tool_call>{{ .Name }}<arg_key>{{ $k }}</arg_key><arg_value>", "glm45"),
        ("<|tool_call_start|>", "lfm2"),
        (HARMONY, "harmony"),
    ],
)
def test_a_go_template_has_the_generic_parser_unless_that_cannot_read_the_format(template: str, name: str) -> None:
    assert choose(template, "go").name == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("command-r.tool_use", "command_r"),
        ("deepseek-r1", "deepseek"),
        ("deepseek-v3", "deepseek"),
        ("gpt-oss", "harmony"),
        ("granite3", "granite"),
        ("hermes.tool_use", "hermes"),
        ("llama3.1", "llama3"),
        ("llama4", "llama3"),
        ("mistral-tekken", "mistral"),
        ("mistral-v3", "mistral"),
        ("mistral-v7", "mistral"),
        ("phi4-mini", "granite"),
        ("glm4", "glm4"),
        ("qwen2.5", "hermes"),
        ("qwen3", "hermes"),
        ("qwen3-coder", "qwen3_coder"),
        ("smollm3", "hermes"),
    ],
)
def test_the_templates_of_the_well_known_families_are_recognised(file: str, name: str) -> None:
    template = (CORPUS / f"{file}.jinja").read_text(encoding="utf-8")

    assert choose(template, "jinja").name == name


@pytest.mark.parametrize("family", ["gptoss", "gpt-oss"])
def test_the_family_of_gpt_oss_speaks_harmony(family: str) -> None:
    assert choose("", "jinja", family).name == "harmony"
    assert choose("<|start|><|end|>", "go", family).name == "harmony"
    assert choose("{{ .Prompt }}", "go", family).name == "generic"


@pytest.mark.parametrize(
    ("parser", "name"), [("qwen3-coder", "qwen3_coder"), ("harmony", "harmony"), ("unheard", "hermes")]
)
def test_a_parser_named_in_the_config_comes_first(parser: str, name: str) -> None:
    assert choose(HERMES, "jinja", "", parser).name == name


def test_the_parser_that_passes_everything_finds_nothing() -> None:
    assert read(choose(HERMES, "jinja", "", "passthrough").new, "<tool_call>{}") == Found("<tool_call>{}")


def test_the_generic_parser_looks_for_the_tag_of_the_go_template() -> None:
    form = choose("{{ .Tools }}", "go", tool_tag="[CALL]")

    assert (form.marks, form.needs_special) == (("[CALL]",), True)
    assert read(form.new, '[CALL] get_weather {"city": "Paris"}').calls == (PARIS,)


def test_a_control_token_inside_a_longer_tag_comes_as_text_too() -> None:
    assert choose("", "go", tool_tag="[TOOL_CALLS] [").marks == ("[TOOL_CALLS] [", "[TOOL_CALLS]")


@pytest.mark.parametrize(
    ("template", "answer"),
    [
        ("<|tools_prefix|>[{{ calls }}]", '<|tools_prefix|>[{"get_weather": {"city": "Paris"}}]<|tools_suffix|>'),
        ("functools{{ calls }}", 'functools[{"name": "get_weather", "arguments": {"city": "Paris"}}]'),
    ],
)
def test_jinja_templates_with_json_after_another_tag_are_served_too(template: str, answer: str) -> None:
    assert read(choose(template, "jinja").new, answer) == Found(calls=(PARIS,))


def test_a_prompt_that_asks_for_hermes_calls_gets_both_parsers() -> None:
    own = choose("<｜tool▁call▁begin｜>{{ f }}", "jinja")
    both = also_hermes(own)
    marked = "<｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
    asked = '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>'

    assert read(both.new, f"I look. {marked}").calls == (NOW,)
    assert read(both.new, f"I look.\n{asked}") == Found("I look.", calls=(PARIS,))
    assert set(both.marks) >= {*own.marks, "<tool_call>"}


def test_a_bare_call_is_still_found_where_hermes_calls_are_asked_for() -> None:
    both = also_hermes(choose("{{ m.content }}", "jinja"))

    assert read(both.new, '{"name": "get_time", "arguments": {}}') == Found(calls=(NOW,))
    assert read(both.new, '<tool_call>{"name": "get_time", "arguments": {}}</tool_call>') == Found(calls=(NOW,))
    assert warned(read(both.new, "<tool_call>no")) == ("<tool_call>no", (), 1)


def test_a_format_that_reads_hermes_calls_already_stays_as_it_is() -> None:
    form = choose(HERMES, "jinja")

    assert also_hermes(form) is form


def test_bare_brackets_need_no_control_tokens() -> None:
    assert not choose("", "jinja").needs_special


def test_every_format_that_needs_control_tokens_names_them() -> None:
    formats = [value for value in vars(chooser).values() if isinstance(value, chooser.Format)]

    assert {form.name for form in formats} >= {form.name for form in chooser.BY_PARSER.values()}
    assert all(form.marks for form in formats if form.needs_special)
