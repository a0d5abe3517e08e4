"""Chat templates from strangers: what they may do, and what stops them."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from ollamapy.actions.templates import ANSWER_SECONDS, MAX_CHILDREN, Templates
from ollamapy.errors import TemplateError, TemplateRefused
from ollamapy.modelfile.jinja import MAX_OUTPUT_BYTES, render
from ollamapy.modelfile.renderer import fault_of_death
from ollamapy.wire.native import Message

CHATML = (
    "{%- for message in messages %}\n    {{- '<|im_start|>' + message['role'] + '\\n' + message.content + "
    "'<|im_end|>' + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}"
    "\n{%- endif %}\n"
)


STUCK = "{{ ['x' * 9999999] * 99999 == ['x' * 9999999] * 99999 }}"


def with_templates(work: Callable[[Templates], Awaitable[None]]) -> None:
    async def main() -> None:
        templates = Templates()
        try:
            await work(templates)
        finally:
            await templates.close()

    asyncio.run(main())


def test_a_usual_template_renders_with_blocks_trimmed() -> None:
    messages = [{"role": "user", "content": "<hi> & bye"}]

    assert (
        render(CHATML, {"messages": messages, "add_generation_prompt": True})
        == "<|im_start|>user\n<hi> & bye<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ {'b': 1, 'a': '<é>'} | tojson }}", '{"b": 1, "a": "<é>"}'),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% set n = namespace(x=1) %}{% for i in range(3) %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}", "4"),
        ("{% generation %}a{% endgeneration %}b", "ab"),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ missing }}{% if missing is defined %}x{% endif %}", ""),
        ("{{ 'a,b'.split(',')[-1] }}{{ ' x '.strip() }}", "bx"),
        ("{{ {'a': [1]} | tojson(indent=2) }}", '{\n  "a": [\n    1\n  ]\n}'),
        ("{{ {'b': 1, 'a': 'é'} | tojson(separators=(',', ':'), sort_keys=true) }}", '{"a":"é","b":1}'),
        ("{{ 'é' | tojson(ensure_ascii=true) }}", '"\\u00e9"'),
        ("{{ tools is none }} {{ documents is none }} {{ other is none }}", "True True False"),
        ("{% for k, v in {'z': 1, 'a': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "z1a2"),
        ("{% for k, v in {'z': 1, 'a': 2} | items %}{{ k }}{{ v }}{% endfor %}", "z1a2"),
        ("{{ {'a': 1}.get('b', 'none') }}{{ 'x'.startswith('x') }}{{ 'ab'.replace('a', 'c').upper() }}", "noneTrueCB"),
        (
            "{{ {} is mapping }}{{ [] is sequence }}{{ '' is string }}{{ 1 is iterable }}{{ x is defined }}",
            "TrueTrueTrueFalseFalse",
        ),
        ("{{ [1, 2, 3][1:] }}{{ 'abc'[::-1] }}{{ [1, 2][-1] }}", "[2, 3]cba2"),
        ("{% for i in [1, 1, 2] %}{{ i if loop.previtem is not defined or loop.previtem != i }}{% endfor %}", "12"),
        ("{% for i in [1, 2] %}{{ i ~ (loop.nextitem | default('.')) }}{% endfor %}", "122."),
        (
            "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{% call m(1) %}c{% endcall %}",
            "12c",
        ),
        ("{% set x %} a {% endset %}{{ x | trim ~ 1 ~ none }}", "a1None"),
        ("{{ [{'a': 1}, {'a': 2}] | selectattr('a', 'equalto', 2) | map(attribute='a') | list }}", "[2]"),
        ("{{ [{'a': 1}, {'b': 2}] | selectattr('a', 'defined') | list | length }}", "1"),
        ("{{ 'a\nb' | indent(2) }}{{ x | default('d') }}{{ '' | default('e', true) }}", "a\n  bde"),
        (
            "{{ '%s-%03d' % ('a', 7) }} {{ '%5.1f' | format(1.25) }} {{ '{:>3}|{a}'.format(1, a=2) }}",
            "a-007   1.2   1|2",
        ),
        ("{% for i in range(5) if i % 2 %}{% if i == 3 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "1"),
        ("{{ ('a', 'b') | join(', ') }}{{ joiner(',')() }}{{ '1' | int + 1 }}{{ 7 // 2 }}{{ 2 ** 3 }}", "a, b238"),
    ],
)
def test_what_templates_in_the_wild_expect_works(template: str, expected: str) -> None:
    assert render(template, {}) == expected


def test_a_template_that_refuses_its_input_says_why() -> None:
    with pytest.raises(TemplateRefused, match="System role not supported"):
        render("{{ raise_exception('System role not supported') }}", {})


def test_the_date_is_the_one_that_is_given() -> None:
    assert render("{{ strftime_now('%d %b %Y') }}", {}, datetime(2025, 3, 14)) == "14 Mar 2025"


def with_call(template: str, arguments: dict[str, object], content: str = "") -> str:
    call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
    return render(template, {"messages": [{"role": "assistant", "content": content, "tool_calls": [call]}]})


@pytest.mark.parametrize(
    "template",
    [
        "{{ a | tojson }}",
        "{{ a }}",
        "{{ '' + a + '' }}",
        "{{ a + '' }}",
        "{{ '' ~ a }}",
        "{{ a | string }}",
        "{{ a if a is string else a | tojson }}",
        "{{ a | tojson if a is mapping else a }}",
        "{{ '%s' % a }}",
        "{{ '{}'.format(a) }}",
        "{{ [a] | join }}",
        "{{ ' ' ~ a ~ ' ' | trim }}",
    ],
)
def test_arguments_suit_templates_that_expect_a_dict_and_those_that_expect_json_text(template: str) -> None:
    before = "{% set a = messages[0].tool_calls[0].function.arguments %}"

    assert with_call(before + template, {"b": "é", "a": [1]}).strip() == '{"b": "é", "a": [1]}'


def test_arguments_are_a_dict_to_walk_through() -> None:
    template = "{% for k, v in messages[0].tool_calls[0].function.arguments | items %}{{ k }}={{ v }};{% endfor %}"

    assert with_call(template, {"b": 1, "a": 2}) == "b=1;a=2;"


def test_the_empty_text_of_a_message_that_calls_tools_is_none_and_a_string() -> None:
    tests = (
        "content is none",
        "content is string",
        "content == none",
        "content == ''",
        "not content",
        "content != 'a'",
    )
    template = "".join(
        f"{{{{ messages[0].{test} }}}} ".replace("messages[0].not ", "not messages[0].") for test in tests
    )

    assert with_call(template, {}).split() == ["True"] * 6
    assert with_call("{{ messages[0].content is none }}", {}, "text") == "False"


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'].mro() }}",
    "{{ '' | attr('__class__') | string }}",
    "{{ ('' | attr('_' ~ '_class_' ~ '_')).mro() }}",
    "{{ [''] | map(attribute='__class__') | first }}",
    "{{ messages.append(1) }}",
    "{{ {}.update({'a': 1}) }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ raise_exception.__globals__ }}",
    "{{ strftime_now.__closure__[0].cell_contents }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__code__ }}",
    "{{ lipsum(n=9) }}",
    "{% include 'x' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import path %}",
    "{% extends 'x' %}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{0.__class__.__mro__}' | format('') }}{{ '{a.__init__.__globals__}'.format(a=raise_exception) }}",
    "{{ '{a.__class__}'.format_map({'a': ''}) }}",
    "{{ ('{0.__class__}' | safe).format('') }}",
]

BOMBS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * [0] }}",
    "{{ 9**99999999 }}",
    "{{ (9**1000) ** 1000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%.1000000000f' % 1 }}",
    "{{ '%(a)1000000000d' % {'a': 1} }}",
    "{{ '%1000000000d' | format(1) }}",
    "{{ '{:1000000000d}'.format(1) }}",
    "{{ '{:{}}'.format(1, 1000000000) }}",
    "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "{{ ('{:1000000000d}' | safe).format(1) }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ 'a'.center(1000000000) }}",
    "{{ ('a' | attr('ljust'))(1000000000) }}",
    "{{ ['a'] | map('center', 1000000000) | list }}",
    "{{ '1'.zfill(1000000000) }}",
    "{{ '\t'.expandtabs(1000000000) }}",
    "{{ 'a\nb' | indent(1000000000) }}",
    "{{ ('a' * 999999) | wordwrap(1, wrapstring='b' * 9999999) }}",
    "{{ [1] | batch(1000000000, 0) | list }}",
    "{{ [1] | slice(1000000000) | list }}",
    "{{ 1.5 | round(1000000000, 'floor') }}",
    "{{ [1] | tojson(indent=1000000000) }}",
    "{{ ('a' * 9999999) | replace('a', 'b' * 9999999) }}",
    "{{ ('a' * 9999999).replace('', 'b' * 9999999) }}",
    "{{ range(99999) | join('b' * 9999999) }}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=7) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3,
    "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
    "{% set x %}{% for i in range(99999) %}{{ 'x' * 99999 }}{% endfor %}{% endset %}{{ x }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% for i in [[[]]] recursive %}{{ loop([i]) }}{% endfor %}",
    "{{ " + "(" * 3000 + ")" * 3000 + " }}",
    "{{ " + "-" * 30000 + "1 }}",
    "{{ 1" + " + 1" * 30000 + " }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "{% for i in [1] %}" * 25 + "{% endfor %}" * 25,
    "{{ a" + ".a" * 9999 + " }}",
    "{% if %}",
    "{{ 1 / 0 }}",
    "{{ none + 1 }}",
    "{{ ('a' * 99999) | int(base=36) // 7 }}{{ raise_exception('x') }}",
]


@pytest.mark.parametrize("template", [bomb for bomb in BOMBS if "1000000000" in bomb or "10**9" in bomb])
def test_a_step_that_would_take_long_is_refused_before_it_starts(template: str) -> None:
    with pytest.raises(TemplateError, match=r"too (long|wide|large|big)|larger than"):
        render(template, {})


def test_a_long_format_and_a_large_number_are_refused() -> None:
    for template in ("{{ ('%s' * 99999) % 1 }}", "{{ 2 ** 4000 * 2 ** 4000 }}"):
        with pytest.raises(TemplateError, match="too l"):
            render(template, {})


def test_recursion_and_exhausted_memory_are_errors_of_the_template() -> None:
    with pytest.raises(TemplateError, match="recursion"):
        render("{% for i in [[[]]] recursive %}{{ loop([i]) }}{% endfor %}", {})
    with pytest.raises(TemplateError, match="memory"):
        render("{{ out_of_memory() }}", {"out_of_memory": _out_of_memory})


def _out_of_memory() -> str:
    raise MemoryError


@pytest.mark.parametrize("template", ESCAPES)
def test_a_template_cannot_leave_its_sandbox(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, {"messages": []})


def test_a_template_that_wastes_time_or_memory_ends_and_the_daemon_never_waits() -> None:
    """Each ends by itself within its bound on processor time, or its process does; the loop turns meanwhile."""

    async def count_turns(done: asyncio.Event) -> int:
        num_turns = 0
        while not done.is_set():
            await asyncio.sleep(0.01)
            num_turns += 1
        return num_turns

    async def work(templates: Templates) -> None:
        done = asyncio.Event()
        turns = asyncio.create_task(count_turns(done))
        for template in BOMBS:
            started = time.monotonic()
            with pytest.raises(TemplateError):
                await templates.render(template)
            assert time.monotonic() - started < ANSWER_SECONDS, template
        done.set()

        assert await turns > 4 * len(BOMBS), "a loop that waits for each of them turns once between two"
        assert await templates.render("still {{ 'here' }}") == "still here"

    with_templates(work)


def test_one_step_that_does_not_return_ends_the_process_and_hurts_nobody_else() -> None:
    async def work(templates: Templates) -> None:
        chat = [Message("user", "a")]
        results = await asyncio.gather(
            templates.render(STUCK), templates.render("{{ messages[0].content }}", chat), return_exceptions=True
        )

        assert isinstance(results[0], TemplateError)
        assert results[1] == "a"

    with_templates(work)


def test_a_stuck_template_is_told_of_in_words_that_help() -> None:
    async def work(templates: Templates) -> None:
        started = time.monotonic()
        with pytest.raises(
            TemplateError, match=r"chat template: it took more than .* of processor time; .* mend the template"
        ):
            await templates.render(STUCK)
        assert time.monotonic() - started < ANSWER_SECONDS

    with_templates(work)


def test_a_chat_in_use_never_waits_behind_hostile_templates() -> None:
    """They share one process, and the chat has the other."""

    async def work(templates: Templates) -> None:
        await templates.render("{{ 'in use' }}")
        hostile = [asyncio.create_task(templates.render(STUCK + f"{{# {n} #}}")) for n in range(12)]
        answers = [await templates.render("{{ 'in use' }}") for _ in range(20)]

        assert answers == ["in use"] * 20
        assert not all(task.done() for task in hostile)
        for task in hostile[5:]:
            task.cancel()
        errors = await asyncio.gather(*hostile, return_exceptions=True)
        assert all(isinstance(error, TemplateError | asyncio.CancelledError) for error in errors)
        assert len(templates._idle) <= MAX_CHILDREN

    with_templates(work)


def test_the_child_that_a_load_starts_is_the_one_that_renders() -> None:
    async def work(templates: Templates) -> None:
        templates.prepare()
        templates.prepare()
        prepared = list(templates._idle)

        assert await templates.render("{{ 'soon' }}") == "soon"
        assert len(prepared) == 1
        assert templates._idle == prepared

    with_templates(work)


def test_a_request_that_is_cancelled_leaves_no_child_busy() -> None:
    async def work(templates: Templates) -> None:
        for _ in range(3):
            task = asyncio.create_task(templates.render(STUCK))
            await templates.render("a")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        assert await templates.render("{{ 'still here' }}") == "still here"
        assert len(templates._idle) <= MAX_CHILDREN

    with_templates(work)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-signal.SIGALRM, "in time"),
        (-signal.SIGVTALRM, "processor time"),
        (-signal.SIGKILL, "memory"),
        (-signal.SIGSEGV, "broke"),
        (1, "broke"),
    ],
)
def test_the_end_of_a_process_is_told_as_a_fault_of_the_template(status: int, words: str) -> None:
    assert words in fault_of_death(status)
    assert "signal" not in fault_of_death(status).lower()


def test_output_is_bounded() -> None:
    with pytest.raises(TemplateError, match=str(MAX_OUTPUT_BYTES)):
        render("{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}", {})


def test_a_template_that_computes_for_ever_is_stopped_and_the_next_one_renders() -> None:
    async def work(templates: Templates) -> None:
        started = time.monotonic()
        with pytest.raises(TemplateError, match=r"processor time|did not finish"):
            await templates.render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
        assert time.monotonic() - started < 30

        assert await templates.render("{{ messages[0].content }}", [Message("user", "1")]) == "1"

    with_templates(work)


def test_a_template_that_eats_memory_is_stopped() -> None:
    async def work(templates: Templates) -> None:
        with pytest.raises(TemplateError):
            await templates.render("{{ 'a' | center(10**10) }}")

        assert await templates.render("still {{ 'here' }}") == "still here"

    with_templates(work)


def test_a_child_that_dies_is_replaced() -> None:
    async def work(templates: Templates) -> None:
        await templates.render("a")
        [renderer] = templates._idle
        child = await renderer._starting
        child.kill()
        await child.wait()

        assert await templates.render("b") == "b"

    with_templates(work)


def test_renderings_at_once_get_their_own_answers() -> None:
    async def work(templates: Templates) -> None:
        chats = [[Message("user", str(n))] for n in range(50)]
        answers = await asyncio.gather(*(templates.render("{{ messages[0].content }}", chat) for chat in chats))

        assert answers == [str(n) for n in range(50)]

    with_templates(work)
