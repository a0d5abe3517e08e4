"""What `tool_choice` asks for, and what is said about one that asks for nothing that is there."""

import re
from typing import Any

import pytest
from tool_answers import TIME, TOOLS, WEATHER

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.tools.offer import Offer, read_offer

NAMED = {"type": "function", "function": {"name": "get_time"}}


@pytest.mark.parametrize(
    ("choice", "offer"),
    [
        (None, Offer(TOOLS)),
        ("auto", Offer(TOOLS)),
        ("none", Offer()),
        ("required", Offer(TOOLS, ("get_weather", "get_time"))),
        (NAMED, Offer((WEATHER, TIME), ("get_time",))),
    ],
)
def test_a_choice_says_what_is_shown_and_what_must_be_called(choice: Any, offer: Offer) -> None:
    assert read_offer(TOOLS, choice) == offer


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_without_tools_nothing_is_offered(choice: Any) -> None:
    assert read_offer((), choice) == Offer()


@pytest.mark.parametrize(
    ("tools", "choice", "message"),
    [
        ((), "required", 'tool_choice "required" needs tools'),
        ((), NAMED, 'tool_choice names the tool "get_time", and no tools are offered'),
        ((WEATHER,), NAMED, 'tool_choice names the tool "get_time", and offered are "get_weather"'),
        (TOOLS, "any", 'tool_choice must be "auto", "none", "required" or {"type": "function"'),
        (TOOLS, 7, "found 7"),
        (TOOLS, {"type": "tool", "name": "get_time"}, 'found {"type": "tool"'),
        (TOOLS, {"type": "function", "function": {"name": 7}}, "tool_choice must be"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused_with_what_can(tools: Any, choice: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(message)):
        read_offer(tools, choice)
