"""From a chat to the prompt by a Jinja chat template, whatever the template can take. Must run in the child process.

A template that refuses the messages, or leaves out a part of them, is tried again with messages that say the same in
another form (`fallbacks`), until it takes them or no change is left.
"""

from collections.abc import Sequence
from datetime import datetime

from ollamapy.errors import TemplateError, TemplateRefused
from ollamapy.modelfile.fallbacks import MAX_REPAIRS, fallback_messages, lost_text
from ollamapy.modelfile.jinja import render as render_jinja
from ollamapy.modelfile.prompt import jinja_context
from ollamapy.wire.native import Message, Think, Tool


def render(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: Think = None,
    *,
    bos_text: str = "",
    eos_text: str = "",
    now: datetime | None = None,
) -> str:
    """The prompt. Raises TemplateError when the template is bad, TemplateRefused when it takes no form of the chat."""
    return attempt(template, messages, tools, think, bos_text=bos_text, eos_text=eos_text, now=now)[0]


def attempt(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    think: Think = None,
    *,
    bos_text: str = "",
    eos_text: str = "",
    now: datetime | None = None,
) -> tuple[str, int]:
    """As `render`, with the number of changes to the messages that it took."""
    text: str | None = None
    for num_changes in range(MAX_REPAIRS):
        context = jinja_context(messages, tools, think, bos_text=bos_text, eos_text=eos_text)
        try:
            text = render_jinja(template, context, now)
            changed = lost_text(messages, tools, text)
        except TemplateRefused as error:
            changed = fallback_messages(messages, error.message)
            if changed is None and text is None:
                raise
        if changed is None:
            assert text is not None
            return text, num_changes
        messages = changed
    if text is None:
        raise TemplateError(f"chat template: it refused {MAX_REPAIRS} forms of the messages")
    return text, MAX_REPAIRS
