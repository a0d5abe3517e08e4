"""`create --warm`: what all prompts of a model begin with is computed before anybody asks.

The runner keeps it as it keeps every prefix: in its pool, and in a file when it ends.
"""

import logging
from collections.abc import Sequence
from contextlib import aclosing
from itertools import takewhile

from ollamapy.actions import inference, prompting
from ollamapy.actions.headers import Subject
from ollamapy.actions.prompting import Conversation
from ollamapy.actions.services import Services
from ollamapy.engines.base import Runner
from ollamapy.modelfile import prompt as prompts
from ollamapy.pool.memory import request_num_ctx
from ollamapy.wire.native import Message
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate

_USERS = ("a", "Zwei.")
"""Two texts that begin and end differently: what their prompts share is everybody's."""
_MAX_UNSURE = 4
"""Tokens at the end of the shared part that may come out otherwise when it stands alone."""

log = logging.getLogger(__name__)


async def warm(services: Services, name: str) -> int:
    """Computes the common beginning of all chats with a model; answers how many tokens it has, 0 for none."""
    subject = await inference.resolve(services, name)
    if not (subject.model.system or subject.model.messages) or "completion" not in subject.capabilities:
        return 0
    options = inference.options_of(subject, {})
    demand = inference.demand_of(services, subject, options, None)
    async with services.pool.lease(demand, inference.label_of(subject)) as runner:
        rendered = [await _render(services, subject, runner, user) for user in _USERS]
        text, count = await _beginning(runner, rendered)
        if count:
            num_ctx = request_num_ctx(options, subject.shape, services.settings)
            request = Generate(0, text, Options(num_predict=1), num_ctx, cut=True)
            async with aclosing(runner.generate(request)) as events:
                async for _ in events:
                    pass
    log.info("warmed model=%s tokens=%d", name, count)
    return count


async def _render(services: Services, subject: Subject, runner: Runner, user: str) -> str:
    stored = tuple(Message(role, content) for role, content in subject.model.messages)
    messages = prompts.assemble(subject.model.system, stored, (Message("user", user),))
    think = inference.effective_think(subject, None, subject.model.name.full)
    return await prompting.render(services, subject, runner, Conversation(messages, think=think))


async def _beginning(runner: Runner, rendered: Sequence[str]) -> tuple[str, int]:
    """The text that has exactly the tokens that all of `rendered` begin with, but for a few at its end."""
    one, other = [await runner.tokenize(text) for text in rendered]
    tokens = [mine for mine, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))]
    for count in range(len(tokens), max(len(tokens) - _MAX_UNSURE, 0), -1):
        text = await runner.detokenize(tokens[:count])
        if list(await runner.tokenize(text))[:count] == tokens[:count]:
            return text, count
    return "", 0
