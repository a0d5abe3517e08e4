"""The corpus of chat templates, the chats that each is tried with, and what can be told from the prompts."""

import itertools
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ollamapy.modelfile.fallbacks import asks_for_calls
from ollamapy.modelfile.jinjachat import attempt
from ollamapy.modelfile.output import ThinkingSplitter, thinking_tags
from ollamapy.modelfile.tools.choose import Format, also_hermes, choose
from ollamapy.modelfile.tools.found import Call, join
from ollamapy.wire.native import Message, Think, Tool, ToolCall, ToolCallFunction, ToolFunction

CORPUS = Path(__file__).parents[1] / "modelfile" / "jinja_corpus"
NOW = datetime(2025, 3, 14, 15, 9, 26)

_CITY = {"type": "string", "description": "Name of the city"}
_PROPERTIES = {"city": _CITY, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}, "days": {"type": "integer"}}
_PARAMETERS = {"type": "object", "properties": _PROPERTIES, "required": ["city"]}
TOOLS = (
    Tool(ToolFunction("get_weather", "Tells the weather", _PARAMETERS)),
    Tool(ToolFunction("now", "Tells the time", {"type": "object", "properties": {}})),
)

SYSTEM = Message("system", "Be brief & <kind>.")
USER = Message("user", "Why is the sky blue?")
ANSWER = Message("assistant", "It scatters “blue” light.")
AGAIN = Message("user", "  And at dusk? 🌇\n")
THOUGHTFUL = Message("assistant", "It scatters “blue” light.", thinking="Rayleigh, I think.")
ASK = Message("user", "Weather in Zürich?")
_FUNCTION = ToolCallFunction("get_weather", {"city": "Zürich", "days": 2})
CALL = Message("assistant", tool_calls=(ToolCall(_FUNCTION, "call_1"),))
RESULT = Message("tool", '{"sky": "clear"}', tool_name="get_weather", tool_call_id="call_1")


@dataclass(frozen=True)
class Chat:
    """What a family is asked to render."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    think: Think = None


@dataclass(frozen=True)
class Prompt:
    """The prompt, and how often the messages had to be changed before the template took them."""

    text: str
    num_changes: int = 0


CHATS = {
    "one turn": Chat((USER,)),
    "system": Chat((SYSTEM, USER)),
    "many turns": Chat((SYSTEM, USER, ANSWER, AGAIN)),
    "user twice": Chat((USER, AGAIN)),
    "assistant first": Chat((SYSTEM, ANSWER, AGAIN)),
}
TOOL_CHATS = {
    "tools offered": Chat((SYSTEM, ASK), TOOLS),
    "tool call and result": Chat((ASK, CALL, RESULT), TOOLS),
}
THOUGHTFUL_CALL = Message("assistant", thinking="A tool knows, I think.", tool_calls=CALL.tool_calls)
WRITTEN_CHAT = Chat((ASK, CALL), TOOLS)
PLAIN_TOOL_CHATS = {"tool call and result": Chat((ASK, CALL, RESULT))}
THINKING_CHATS = {
    "thinking on": Chat((USER, THOUGHTFUL, AGAIN), think=True),
    "thinking off": Chat((USER, THOUGHTFUL, AGAIN), think=False),
}
LOOP_CHATS = {
    "thinking before a call": Chat((ASK, THOUGHTFUL_CALL, RESULT), TOOLS, think=True),
}


@dataclass(frozen=True)
class Family:
    """A family of models: its template, the named one for tools, its special tokens and what GGUF calls it."""

    name: str
    bos_text: str = "<s>"
    eos_text: str = "</s>"
    architecture: str = "llama"
    offers: tuple[str, ...] = ()
    """What `show` lists besides completion, written by hand."""
    thoughts: str = "dropped"
    """What becomes of the thoughts of earlier messages, written by hand."""
    template: str = field(init=False)
    tool_template: str | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "template", (CORPUS / f"{self.name}.jinja").read_text(encoding="utf-8"))
        named = CORPUS / f"{self.name}.tool_use.jinja"
        object.__setattr__(self, "tool_template", named.read_text(encoding="utf-8") if named.exists() else None)

    @property
    def chats(self) -> dict[str, Chat]:
        """The chats for a family with these abilities."""
        tools = TOOL_CHATS if "tools" in self.offers else PLAIN_TOOL_CHATS
        thinking = {**THINKING_CHATS, **(LOOP_CHATS if "tools" in self.offers else {})}
        return {**CHATS, **tools, **(thinking if "thinking" in self.offers else {})}

    @property
    def format(self) -> Format:
        """How its calls are read, as the daemon chooses."""
        form = choose(self.tool_template or self.template, "jinja", self.architecture)
        return also_hermes(form) if asks_for_calls(self.prompt(TOOL_CHATS["tools offered"]).text) else form

    def read_back(self) -> tuple[Call, ...]:
        """The calls that are read out of the answer as the template itself writes it."""
        before, after = (self.prompt(chat).text for chat in (Chat((ASK,), TOOLS), WRITTEN_CHAT))
        common = re.sub(r"<[^<>]*$", "", _common(before, after))
        answer = after[len(common) :].split(self.eos_text)[0]
        opening, closing = thinking_tags(self.template) or ("<think>", "</think>")
        splitter = ThinkingSplitter(opening, closing, is_inside=common.rstrip().endswith(opening))
        content = splitter.push(answer).content + splitter.finish().content
        parser = self.format.new(TOOLS)
        return join((parser.push(content), parser.finish())).calls

    def prompt(self, chat: Chat) -> Prompt:
        """The prompt, as the daemon makes it."""
        template = self.tool_template if chat.tools and self.tool_template else self.template
        text, num_changes = attempt(
            template, chat.messages, chat.tools, chat.think, bos_text=self.bos_text, eos_text=self.eos_text, now=NOW
        )
        return Prompt(text, num_changes)


_LLAMA3 = ("<|begin_of_text|>", "<|eot_id|>")
_IM = ("", "<|im_end|>")
_DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "deepseek2")
_BOTH = ("tools", "thinking")
LOOP = "kept until the next question"

FAMILIES = (
    Family("chatml", *_IM),
    Family("llama2"),
    Family("llama3", *_LLAMA3),
    Family("llama3.1", *_LLAMA3, offers=("tools",)),
    Family("llama4", "<|begin_of_text|>", "<|eot|>", "llama4", offers=("tools",)),
    Family("mistral-v1"),
    Family("mistral-v3", offers=("tools",)),
    Family("mistral-tekken", offers=("tools",)),
    Family("mistral-v7", offers=("tools",)),
    Family("gemma", "<bos>", "<eos>", "gemma2"),
    Family("gemma3", "<bos>", "<eos>", "gemma3"),
    Family("phi3", "<s>", "<|endoftext|>", "phi3"),
    Family("phi4", "", "<|im_end|>", "phi3"),
    Family("phi4-mini", "", "<|endoftext|>", "phi3", offers=("tools",)),
    Family("qwen2.5", *_IM, "qwen2", offers=("tools",)),
    Family("qwen3", *_IM, "qwen3", offers=_BOTH, thoughts=LOOP),
    Family("qwen3-coder", *_IM, "qwen3moe", offers=("tools",)),
    Family("deepseek-v3", *_DEEPSEEK, offers=("tools",)),
    Family("deepseek-r1", *_DEEPSEEK, offers=_BOTH),
    Family("command-r", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "command-r", offers=("tools",)),
    Family("granite3", "", "<|end_of_text|>", "granite", offers=_BOTH),
    Family("smollm2", "<|im_start|>", "<|im_end|>"),
    Family("smollm3", "", "<|im_end|>", "smollm3", offers=_BOTH),
    Family("gpt-oss", "<|startoftext|>", "<|return|>", "gptoss", offers=_BOTH, thoughts=LOOP),
    Family("zephyr"),
    Family("vicuna"),
    Family("alpaca"),
    Family("openchat", "<s>", "<|end_of_turn|>"),
    Family("falcon", "", "<|endoftext|>", "falcon"),
    Family("glm4", "", "<|endoftext|>", "chatglm", offers=("tools",)),
    Family("hermes", "<|begin_of_text|>", "<|im_end|>", offers=("tools",)),
    Family("glm4.5", "", "<|endoftext|>", "glm4moe", offers=_BOTH, thoughts=LOOP),
    Family("lfm2", "<|startoftext|>", "<|im_end|>", "lfm2", offers=("tools",)),
    Family("lfm2.5", "<|startoftext|>", "<|im_end|>", "lfm2moe", offers=_BOTH, thoughts=LOOP),
    Family("olmo3", *_IM, "olmo2", offers=("tools",)),
    Family("gemma4", "<bos>", "<turn|>", "gemma4", offers=_BOTH, thoughts=LOOP),
    Family("deepseek-v3.1", *_DEEPSEEK, offers=_BOTH),
    Family("deepseek-v3.2", *_DEEPSEEK, offers=_BOTH, thoughts=LOOP),
    Family("kimi-k2-thinking", "", "<|im_end|>", "deepseek2", offers=_BOTH, thoughts=LOOP),
    Family("minimax-m2", "", "[e~[", "minimax-m2", offers=_BOTH, thoughts=LOOP),
    Family("nemotron-nano2", "", "<SPECIAL_12>", "nemotron_h", offers=_BOTH),
    Family("magistral", offers=_BOTH, thoughts="kept"),
    Family("command-r7b", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>", "cohere2", offers=_BOTH, thoughts=LOOP),
    Family("seed-oss", "<seed:bos>", "<seed:eos>", "seed_oss", offers=_BOTH, thoughts="kept"),
    Family("functionary", *_LLAMA3, offers=("tools",)),
)


def _common(first: str, second: str) -> str:
    """What both texts begin with."""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return "".join(letter for letter, _ in pairs)


def golden(family: Family) -> str:
    """All prompts of a family, each under a heading that tells how often the messages were changed."""
    parts = []
    for name, chat in family.chats.items():
        prompt = family.prompt(chat)
        changed = f" (messages changed {prompt.num_changes}x)" if prompt.num_changes else ""
        parts.append(f"======== {name}{changed}\n{prompt.text}\n")
    return "".join(parts)


def table() -> str:
    """The Markdown table of families and features, told from the prompts."""
    lines = [
        "| family | system | users in a row | tools offered | calls and results | calls read as | thinking | thoughts "
        "| `show` lists |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(_row(family))} |" for family in FAMILIES)]) + "\n"


def _row(family: Family) -> list[str]:
    return [
        family.name,
        "in the user's text" if family.prompt(CHATS["system"]).num_changes else "yes",
        "joined" if family.prompt(CHATS["user twice"]).num_changes else "yes",
        _offer(family),
        _calls(family),
        _reading(family),
        _thinking(family),
        _thoughts(family),
        ", ".join([*family.offers, "completion"]),
    ]


def _offer(family: Family) -> str:
    if "tools" not in family.offers:
        return "–"
    if family.prompt(TOOL_CHATS["tools offered"]).num_changes:
        return "in a system message"
    return "yes, by its own template" if family.tool_template else "yes"


def _calls(family: Family) -> str:
    prompt = family.prompt(family.chats["tool call and result"]).text
    if "tool_response" in prompt and "tool_calls" in prompt:
        return "as JSON text"
    is_told = has_own_calls(family) and all(text in prompt for text in ("get_weather", "Zürich", "sky", "clear"))
    return "yes" if is_told else "no"


def has_own_calls(family: Family) -> bool:
    """True when the template writes a call itself, rather than being given it as text."""
    return "tools" in family.offers and '"tool_calls"' not in family.prompt(WRITTEN_CHAT).text


def _reading(family: Family) -> str:
    if "tools" not in family.offers:
        return "–"
    return family.format.name.replace("_", " ")


def keeps(family: Family, chat: Chat) -> bool:
    """True when the thoughts of an earlier message stand in the prompt."""
    return "I think." in family.prompt(chat).text


def _thoughts(family: Family) -> str:
    if "thinking" not in family.offers:
        return "–"
    if keeps(family, THINKING_CHATS["thinking on"]):
        return "kept"
    return LOOP if keeps(family, LOOP_CHATS["thinking before a call"]) else "dropped"


def _thinking(family: Family) -> str:
    if "thinking" not in family.offers:
        return "–"
    on, off, high = (family.prompt(Chat((USER,), think=think)).text for think in (True, False, "high"))
    if on != high:
        return "always, by level"
    return "on and off" if on != off else "always"
