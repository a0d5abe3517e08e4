"""Values of a chat that templates take in two ways. They answer to both, so that no template has to be guessed at.

1. `function.arguments` of a tool call. Ollama and OpenAI hold JSON text, transformers holds a dict, and templates are
   written for either. `Arguments` is a dict that prints and concatenates as its JSON text: `arguments | tojson`,
   `arguments | items` and `arguments.city` see the dict; `{{ arguments }}` and `'…' + arguments` see the text.
   It is `mapping` and not `string`, so a template that asks takes its dict branch and gets the same prompt.
2. `content` of a message that has tool calls and no text. OpenAI holds null, Ollama holds "", and templates ask for
   either. `NoText` is the empty string, and `none` too.

The JSON text is laid out as Python does (`{"a": 1}`), which is how the prompts were written that models learned from.
"""

import json
from collections.abc import Mapping
from typing import Any


class Arguments(dict[str, Any]):
    """The arguments of a tool call: a dict, and its JSON text."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)

    def __add__(self, other: Any) -> Any:
        return str(self) + other

    def __radd__(self, other: Any) -> Any:
        return other + str(self)


class NoText(str):
    """The content of a message that only calls tools: "" and none."""

    def __eq__(self, other: object) -> bool:
        return other is None or super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def is_none(value: Any) -> bool:
    """The test `none` of templates."""
    return value is None or isinstance(value, NoText)


def prepared(context: Mapping[str, Any]) -> dict[str, Any]:
    """`context` with the values above in its messages."""
    return {**context, "messages": [_message(message) for message in context.get("messages", ())]}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    if "tool_calls" not in message:
        return message
    content = message.get("content") or NoText()
    return {**message, "content": content, "tool_calls": [_call(call) for call in message["tool_calls"]]}


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    return {**call, "function": {**function, "arguments": Arguments(function["arguments"])}}
