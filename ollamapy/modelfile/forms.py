"""The form in which a chat template takes thoughts and the results of tools. Pure: a context in, another out.

Most templates look for fields, which `prompt.jinja_context` sets under all their names. Two forms are told by the text
of the template:

1. Thoughts as a part of the content, `{"type": "thinking", "thinking": …}`: Magistral, Ministral.
2. Results of tools as `tool_responses` of the message that called them: Gemma 4.

A template that only cuts `<think>…</think>` out of contents drops thoughts, and is given contents without them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_THINKING_PARTS = re.compile(r"""type['"]?\]?\s*==\s*['"]thinking['"]""")
_RESULTS_IN_CALLS = "tool_responses"

Values = dict[str, Any]


def suited(template: str, context: Mapping[str, Any]) -> Values:
    """`context` with its messages in the form that the template takes."""
    messages = list(context["messages"])
    if _THINKING_PARTS.search(template):
        messages = [_with_thinking_part(message) for message in messages]
    if _RESULTS_IN_CALLS in template:
        messages = _with_results_in_calls(messages)
    return {**context, "messages": messages}


def _with_thinking_part(message: Values) -> Values:
    if not message.get("thinking"):
        return message
    content = message["content"]
    rest = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {**message, "content": [{"type": "thinking", "thinking": message["thinking"]}, *rest]}


def _with_results_in_calls(messages: list[Values]) -> list[Values]:
    """Results in a row go to the message with calls before them; without one they stay."""
    moved: list[Values] = []
    for message in messages:
        if message["role"] == "tool" and moved and moved[-1].get("tool_calls"):
            results = moved[-1].get("tool_responses", [])
            moved[-1] = {**moved[-1], "tool_responses": [*results, _result(message, moved[-1], len(results))]}
        else:
            moved.append(message)
    return moved


def _result(message: Values, caller: Values, index: int) -> Values:
    """The result and the name of its tool: its own, that of the call with its id, or of the call in its place."""
    calls = caller["tool_calls"]
    by_id = [call for call in calls if call["id"] and call["id"] == message.get("tool_call_id")]
    call = (by_id or calls[index : index + 1] or calls[-1:])[0]
    return {"name": message.get("name") or call["function"]["name"], "response": _object(message["content"])}


def _object(text: Any) -> Any:
    """The object that a result writes as JSON, or the text."""
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text
