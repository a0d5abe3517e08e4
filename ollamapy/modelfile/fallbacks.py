"""What to send when a chat template refuses the messages, or leaves out a part. Pure: messages in, other messages out.

Must never lose what somebody wrote: texts are moved, never dropped. The caller renders again with what comes back,
until the template is content or nothing is left to change. A refusal's words choose among these, tried in order:

1. `alternat`, `only user`: neighbours from one side become one message; an empty user message opens a chat that begins
   with the assistant; calls and results of tools become text of the assistant and of the user; then as 2.
2. `system`: the system texts go in front of the first user message.
3. `id`: the ids of tool calls become nine letters and digits each, made up where there are none.
4. `content and thinking`: in a message with tool calls the text joins the thinking.
5. `role`, `tool`, `after`: as 1.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ollamapy.wire.native import Message, Tool, ToolCall

Messages = tuple[Message, ...]

MAX_CHANGES = 8
"""As many as an honest template can need; one that loses everything would have more made for ever."""

_GAP = "\n\n"
_HOW_TO_CALL = 'Write a call as <tool_call>{"name": "the tool", "arguments": {}}</tool_call>, with nothing after it.'


def fallback_messages(messages: Sequence[Message], error_text: str) -> Messages | None:
    """Messages that say the same in a form that a template may take which refused with `error_text`, or None."""
    before = tuple(messages)
    words = error_text.lower()
    for rule in _RULES:
        if any(word in words for word in rule.words):
            for repair in rule.repairs:
                after = repair(before)
                if after != before:
                    return after
    return None


def lost_text(messages: Sequence[Message], tools: Sequence[Tool], prompt: str) -> Messages | None:
    """Messages that bring into the prompt what `prompt` leaves out without a word, or None when it leaves out nothing.

    1. A system text goes in front of the first user message.
    2. Calls and results of tools become text.
    3. Tools that are offered are told in a system message.
    """
    chat = tuple(messages)
    found = _Haystack(prompt)
    if any(message.content not in found for message in chat if message.role == "system"):
        return _fold_system(chat)
    if not all(_is_told(message, found) for message in chat):
        return tools_as_text(chat)
    if tools and all(tool.function.name not in found for tool in tools):
        return tell_tools(chat, tools)
    return None


def tell_tools(messages: Sequence[Message], tools: Sequence[Tool]) -> Messages:
    """The messages for a template that knows no tools: the first system message, or a new one, tells of them."""
    first, *rest = messages if messages and messages[0].role == "system" else (Message("system"), *messages)
    content = _GAP.join(text for text in (first.content, _told(tools)) if text)
    return (msgspec.structs.replace(first, content=content), *rest)


def asks_for_calls(prompt: str) -> bool:
    """True when a prompt holds the words of `lost_text` that tell the model how to write a call."""
    return _HOW_TO_CALL in _Haystack(prompt)


class _Haystack:
    """The text of a prompt, to look for others in: white space does not count, and a JSON string is its text."""

    def __init__(self, prompt: str) -> None:
        self._text = _squeezed(prompt)

    def __contains__(self, text: str) -> bool:
        forms = (text, json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1])
        return any(_squeezed(form) in self._text for form in forms)


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _is_told(message: Message, found: _Haystack) -> bool:
    """True when the tools that a message calls stand in the prompt, or what it says as a result.

    Some templates write a result in JSON in a notation of their own: then what it holds must be there.
    """
    if message.role != "tool":
        return all(call.function.name in found for call in message.tool_calls)
    return message.content in found or all(text in found for text in _members(message.content))


def _members(text: str) -> list[str]:
    """The strings in the JSON object that a text is, keys included; else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    waiting, strings = [value], []
    while waiting:
        item = waiting.pop()
        waiting += [*item.keys(), *item.values()] if isinstance(item, dict) else item if isinstance(item, list) else []
        strings += [item] if isinstance(item, str) else []
    return strings if isinstance(value, dict) else [text]


def with_marked_calls(messages: Messages, mark: str) -> Messages:
    """The chat with `mark` in place of the name of every tool that is called."""
    return tuple(
        msgspec.structs.replace(message, tool_calls=tuple(_named(call, mark) for call in message.tool_calls))
        for message in messages
    )


def with_marked_names(tools: Sequence[Tool], mark: str) -> tuple[Tool, ...]:
    """The tools, all of that name."""
    return tuple(
        msgspec.structs.replace(tool, function=msgspec.structs.replace(tool.function, name=mark)) for tool in tools
    )


def _named(call: ToolCall, name: str) -> ToolCall:
    return msgspec.structs.replace(call, function=msgspec.structs.replace(call.function, name=name))


def _told(tools: Sequence[Tool]) -> str:
    lines = (msgspec.json.encode(tool.function).decode() for tool in tools)
    return _GAP.join(("These tools can be called:", "\n".join(lines), _HOW_TO_CALL))


def _fold_system(messages: Messages) -> Messages:
    """The system texts in front of the first user message, which is made up when there is none."""
    texts = [message.content for message in messages if message.role == "system"]
    if not texts:
        return messages
    rest = [message for message in messages if message.role != "system"]
    index = next((index for index, message in enumerate(rest) if message.role == "user"), None)
    if index is None:
        return (Message("user", _GAP.join(texts)), *rest)
    content = _GAP.join(text for text in (*texts, rest[index].content) if text)
    rest[index] = msgspec.structs.replace(rest[index], content=content)
    return tuple(rest)


def _merge_same_side(messages: Messages) -> Messages:
    """Messages in a row of one role, but for tool results and calls, become one."""
    merged: list[Message] = []
    for message in messages:
        if merged and _is_plain(message) and _is_plain(merged[-1]) and message.role == merged[-1].role:
            merged[-1] = _joined(merged[-1], message)
        else:
            merged.append(message)
    return tuple(merged)


def _is_plain(message: Message) -> bool:
    return message.role != "tool" and not message.tool_calls


def _joined(first: Message, second: Message) -> Message:
    return msgspec.structs.replace(
        first,
        content=_GAP.join(text for text in (first.content, second.content) if text),
        thinking=_GAP.join(text for text in (first.thinking, second.thinking) if text),
        images=(*first.images, *second.images),
    )


def tools_as_text(messages: Messages) -> Messages:
    """Calls of tools as JSON in the assistant's text, their results as JSON from the user; then `_merge_same_side`."""
    if all(_is_plain(message) for message in messages):
        return messages
    return _merge_same_side(tuple(_as_text(message) for message in messages))


def _as_text(message: Message) -> Message:
    if message.role == "tool":
        named = {"tool": message.tool_name} if message.tool_name else {}
        return Message("user", json.dumps({"tool_response": {**named, "content": message.content}}, ensure_ascii=False))
    if not message.tool_calls:
        return message
    calls = [{"name": call.function.name, "arguments": call.function.arguments} for call in message.tool_calls]
    text = json.dumps({"tool_calls": calls}, ensure_ascii=False)
    content = _GAP.join(part for part in (message.content, text) if part)
    return msgspec.structs.replace(message, content=content, tool_calls=())


def _open_with_user(messages: Messages) -> Messages:
    """An empty user message in front of an assistant that speaks first."""
    start = len(list(itertools.takewhile(lambda message: message.role == "system", messages)))
    if start < len(messages) and messages[start].role == "assistant":
        return (*messages[:start], Message("user"), *messages[start:])
    return messages


def _thoughts_with_text(messages: Messages) -> Messages:
    """In messages that think, speak and call tools, the text joins the thoughts."""
    return tuple(
        msgspec.structs.replace(message, thinking=message.thinking + _GAP + message.content, content="")
        if message.tool_calls and message.thinking and message.content
        else message
        for message in messages
    )


def _short_ids(messages: Messages) -> Messages:
    """Nine letters and digits as the id of every call; a result without an id answers the oldest open call."""
    renamed: list[Message] = []
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        calls = tuple(_with_short_id(call, f"{index}.{at}") for at, call in enumerate(message.tool_calls))
        open_ids += [call.id for call in calls]
        changes: dict[str, object] = {"tool_calls": calls} if calls else {}
        if message.role == "tool":
            id_ = _short_id(message.tool_call_id) if message.tool_call_id else next(iter(open_ids), _short_id(""))
            open_ids = [other for other in open_ids if other != id_]
            changes["tool_call_id"] = id_
        renamed.append(msgspec.structs.replace(message, **changes))
    return tuple(renamed)


def _with_short_id(call: ToolCall, place: str) -> ToolCall:
    return msgspec.structs.replace(call, id=_short_id(call.id or place))


def _short_id(text: str) -> str:
    is_short = len(text) == 9 and text.isascii() and text.isalnum()
    return text if is_short else hashlib.sha256(text.encode()).hexdigest()[:9]


@dataclass(frozen=True, slots=True)
class _Rule:
    words: tuple[str, ...]
    repairs: tuple[Callable[[Messages], Messages], ...]


_TURNS = (_merge_same_side, _open_with_user, tools_as_text, _fold_system)

_RULES = (
    _Rule(("alternat", "only user"), _TURNS),
    _Rule(("system",), (_fold_system,)),
    _Rule((" id",), (_short_ids,)),
    _Rule(("content and thinking",), (_thoughts_with_text,)),
    _Rule(("role", "tool", "after"), _TURNS),
)
