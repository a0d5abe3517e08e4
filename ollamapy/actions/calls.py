"""Answers that must be a call of a tool: what the model is told, and the grammar that holds it to a call.

A model whose template knows no tools is told of them in a system message, and calls as that message says.
"""

from collections.abc import Sequence
from dataclasses import replace

from ollamapy.actions.answer import tool_format, tool_template
from ollamapy.actions.headers import Subject
from ollamapy.actions.prompting import Conversation
from ollamapy.actions.services import Services
from ollamapy.errors import InvalidInput
from ollamapy.modelfile.fallbacks import tell_tools
from ollamapy.modelfile.grammar import tool_call_grammar
from ollamapy.modelfile.tools.offer import Offer
from ollamapy.modelfile.tools.writing import Syntaxes, syntaxes_of
from ollamapy.wire.native import ChatRequest, Message, Think


def converse(subject: Subject, messages: Sequence[Message], offer: Offer, think: Think) -> Conversation:
    """What is rendered, with the tools that are offered."""
    conversation = Conversation(tuple(messages), offer.tools, think)
    knows_tools = "tools" in subject.capabilities and _syntaxes(subject, conversation)
    if knows_tools or not offer.must_call:
        return conversation
    return replace(conversation, messages=tell_tools(messages, offer.tools), are_tools_told=True)


async def call_grammar(
    services: Services, subject: Subject, request: ChatRequest, conversation: Conversation, offer: Offer
) -> str:
    """The grammar of a call that `offer` demands, as the model writes it.

    Raises InvalidInput for a tool that no grammar holds, and when the request wants another grammar too.
    """
    if request.format not in (None, "") or request.grammar or request.options.get("grammar"):
        hint = "leave one of them out"
        raise InvalidInput("tool_choice asks for a call of a tool, format and grammar for another answer", hint=hint)
    syntaxes = _syntaxes(subject, conversation)
    key = ["call", repr(syntaxes), offer.must_call, offer.tools]
    return await services.grammars.made(key, lambda: tool_call_grammar(offer.tools, syntaxes, names=offer.must_call))


def _syntaxes(subject: Subject, conversation: Conversation) -> Syntaxes:
    """How the model writes a call."""
    return syntaxes_of(tool_format(subject, conversation), tool_template(subject, conversation)[1])
