"""From a conversation to the prompt that a runner gets, shortened when it does not fit. Renders; never generates."""

import logging
from dataclasses import dataclass, replace

import msgspec

from ollamapy.actions.headers import Subject
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.errors import InvalidInput, PromptTooLong
from ollamapy.modelfile import prompt as prompts
from ollamapy.wire.native import Message, Think, Tool
from ollamapy.wire.runner import Generate

CANNOT_SHIFT = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
    "context length in settings, or use a model with a longer context length"
)

TOKENS_OF_IMAGE = 768
"""What an image is taken for before it is encoded."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is to be rendered. A `template` of the request goes before the model's; a `suffix` takes no messages."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    think: Think = None
    template: str = ""
    suffix: str = ""
    are_tools_told: bool = False
    """A system message tells of the tools, because the template does not."""
    plain_template: str | None = None
    """The Go template for a model that has no template at all; None is ChatML."""

    @property
    def prompt(self) -> str:
        """The text before the suffix."""
        return self.messages[-1].content if self.suffix else ""

    @property
    def images(self) -> tuple[str, ...]:
        """The images, in the order of their markers."""
        return tuple(image for message in self.messages for image in message.images)

    @property
    def without_data(self) -> "Conversation":
        """The same with empty images: all that a template needs is that they are there."""
        if not self.images:
            return self
        empty = (msgspec.structs.replace(one, images=("",) * len(one.images)) for one in self.messages)
        return replace(self, messages=tuple(empty))


def renders_go(subject: Subject, conversation: Conversation) -> bool:
    """True when a Go template makes the prompt."""
    if conversation.template or conversation.suffix or subject.renders == "go":
        return True
    return subject.renders == "none" and conversation.plain_template is not None


async def render(services: Services, subject: Subject, runner: Runner, conversation: Conversation) -> str:
    """The prompt, with `[img-N]` where image N belongs. Raises TemplateError."""
    return await _render(services, subject, runner, conversation.without_data)


def images_left_out(prompt: str, num_images: int) -> str:
    """What to tell a client whose images have no place in the prompt; empty when all have one."""
    lost = [number for number in range(num_images) if f"[img-{number}]" not in prompt]
    if not lost:
        return ""
    named = ", ".join(map(str, lost))
    return f"the model did not see image {named} (counted from 0): the prompt has no place for it"


async def _render(services: Services, subject: Subject, runner: Runner, conversation: Conversation) -> str:
    if subject.model.config.model_family == "qwen3" or subject.model.name.model == "deepseek-r1":
        conversation = replace(conversation, messages=prompts.without_old_thoughts(conversation.messages))
    if not renders_go(subject, conversation):
        return await _render_jinja(services, subject, runner, conversation)
    if not conversation.template and subject.template_fault:
        raise subject.template_fault
    template = conversation.template or subject.model.template or conversation.plain_template or ""
    return await services.templates.render_go(
        template,
        conversation.messages,
        conversation.tools,
        prompt=conversation.prompt,
        suffix=conversation.suffix,
        think=conversation.think,
    )


async def _render_jinja(services: Services, subject: Subject, runner: Runner, conversation: Conversation) -> str:
    if subject.template_fault and subject.file.chat_template is None:
        raise subject.template_fault
    return await services.templates.render(
        subject.file.template_for(conversation.tools) or prompts.DEFAULT_TEMPLATE,
        conversation.messages,
        conversation.tools,
        conversation.think,
        bos_text=runner.ready.bos_text,
        eos_text=runner.ready.eos_text,
    )


async def count_tokens(services: Services, subject: Subject, runner: Runner, conversation: Conversation) -> int:
    """The tokens of the prompt. Raises TemplateError."""
    prompt = await render(services, subject, runner, conversation)
    return len(await runner.tokenize(prompt)) + TOKENS_OF_IMAGE * len(conversation.images)


async def shorten(
    services: Services, subject: Subject, runner: Runner, conversation: Conversation, error: PromptTooLong
) -> Conversation:
    """The conversation without its oldest messages: as few as make the prompt fit, found by bisection; at last the
    newest alone."""

    def left(count: int) -> Conversation:
        return replace(conversation, messages=prompts.drop_oldest(conversation.messages, count))

    high = prompts.num_droppable(conversation.messages)
    low = min(1, high)
    while low < high:
        middle = (low + high) // 2
        num_tokens = await count_tokens(services, subject, runner, left(middle))
        low, high = (low, middle) if num_tokens < error.limit else (middle + 1, high)
    if low:
        log.info("messages dropped to fit the context model=%s dropped=%d", subject.model.name, low)
    return left(low)


def allow_cut(subject: Subject, conversation: Conversation, generate: Generate, error: PromptTooLong) -> Generate:
    """A Go template's prompt may be cut in the middle when dropping messages is not enough; a Jinja one may not, nor
    one with images.

    Raises InvalidInput when it would have to be cut and the request does not let old tokens go.
    """
    if not renders_go(subject, conversation) or conversation.images:
        return generate
    if not generate.shift and prompts.num_droppable(conversation.messages) < 1:
        raise cannot_shift(error)
    return msgspec.structs.replace(generate, cut=generate.shift)


def cannot_shift(error: PromptTooLong) -> InvalidInput:
    """The error for a prompt that would fit if old tokens might go, and they may not."""
    return InvalidInput(CANNOT_SHIFT, hint=f"it has {error.num_prompt} tokens, the limit is {error.limit}")
