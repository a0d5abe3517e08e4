"""Chat templates from strangers: what they may do, and what stops them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from ollamapy.actions.templates import Templates
from ollamapy.errors import TemplateError
from ollamapy.modelfile.jinja import MAX_OUTPUT_BYTES, render

CHATML = (
    "{%- for message in messages %}\n    {{- '<|im_start|>' + message['role'] + '\\n' + message.content + "
    "'<|im_end|>' + '\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}"
    "\n{%- endif %}\n"
)


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
    ],
)
def test_what_templates_in_the_wild_expect_works(template: str, expected: str) -> None:
    assert render(template, {}) == expected


def test_a_template_that_refuses_its_input_says_why() -> None:
    with pytest.raises(TemplateError, match="System role not supported"):
        render("{{ raise_exception('System role not supported') }}", {})


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% include 'x' %}",
        "{% import 'os' as os %}",
        "{{ 'a' * 10**9 }}",
        "{{ 9**99999999 }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ none + 1 }}",
        "{{ " + "(" * 3000 + ")" * 3000 + " }}",
    ],
)
def test_a_template_cannot_leave_its_sandbox(template: str) -> None:
    with pytest.raises(TemplateError):
        render(template, {"messages": []})


def test_output_is_bounded() -> None:
    with pytest.raises(TemplateError, match=str(MAX_OUTPUT_BYTES)):
        render("{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}", {})


def test_a_template_that_computes_for_ever_is_stopped_and_the_next_one_renders() -> None:
    async def work(templates: Templates) -> None:
        started = time.monotonic()
        with pytest.raises(TemplateError, match="processor time"):
            await templates.render("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", {})
        assert time.monotonic() - started < 30

        assert await templates.render("{{ x }}", {"x": 1}) == "1"

    with_templates(work)


def test_a_template_that_eats_memory_is_stopped() -> None:
    async def work(templates: Templates) -> None:
        with pytest.raises(TemplateError):
            await templates.render("{{ 'a' | center(10**10) }}", {})

        assert await templates.render("still {{ 'here' }}", {}) == "still here"

    with_templates(work)


def test_a_child_that_dies_is_replaced() -> None:
    async def work(templates: Templates) -> None:
        await templates.render("a", {})
        child = templates._child
        assert child is not None
        child.kill()
        await child.wait()

        assert await templates.render("b", {}) == "b"

    with_templates(work)


def test_renderings_at_once_get_their_own_answers() -> None:
    async def work(templates: Templates) -> None:
        answers = await asyncio.gather(*(templates.render("{{ x }}", {"x": n}) for n in range(50)))

        assert answers == [str(n) for n in range(50)]

    with_templates(work)
