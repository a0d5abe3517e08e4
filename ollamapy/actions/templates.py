"""Owns the child processes that render chat templates: starts them, asks them, replaces those that hang or die.

There are at most `MAX_CHILDREN`, each with one template at a time. The first is started by the first load, another
when all are busy; one that ends while it renders is replaced at once, so that the next request need not wait for a
start. All templates that have never rendered well share one child: what waits behind a hostile one are strangers, and
never the chats with a model that is in use.
"""

import asyncio
import contextlib
import itertools
import logging
import signal
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from ollamapy.child import Child, Exit
from ollamapy.errors import TemplateError
from ollamapy.modelfile.renderer import Rendered, RenderGo, RenderJinja, RenderRequest, fault_of_death
from ollamapy.wire.native import Message, Think, Tool

MAX_CHILDREN = 2
ANSWER_SECONDS = 20.0
"""Time after which a child that bounds its own processor time must be stuck: the last resort, on a busy machine too."""
_MAX_PROVEN = 1024

log = logging.getLogger(__name__)


class Templates:
    """Renders chat templates out of the daemon's process."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._idle: list[_Renderer] = []
        self._turns = asyncio.Semaphore(MAX_CHILDREN)
        self._turn_of_strangers = asyncio.Lock()
        self._has_begun = False
        self._proven: OrderedDict[int, None] = OrderedDict()
        """Hashes of templates that rendered well the last time, least recently used first."""

    def prepare(self) -> None:
        """Starts the first child, so that the first prompt need not wait for it: while a model loads there is time."""
        if not self._has_begun:
            self._has_begun = True
            self._idle.append(_Renderer())

    async def render(
        self,
        template: str,
        messages: Sequence[Message] = (),
        tools: Sequence[Tool] = (),
        think: Think = None,
        *,
        bos_text: str = "",
        eos_text: str = "",
    ) -> str:
        """The prompt by a Jinja template. Raises TemplateError."""
        return await self._ask(
            RenderJinja(next(self._ids), template, tuple(messages), tuple(tools), think, bos_text, eos_text)
        )

    async def render_go(
        self,
        template: str,
        messages: Sequence[Message] = (),
        tools: Sequence[Tool] = (),
        *,
        prompt: str = "",
        suffix: str = "",
        think: Think = None,
    ) -> str:
        """The prompt by a Go template. Raises TemplateError."""
        return await self._ask(
            RenderGo(next(self._ids), template, tuple(messages), tuple(tools), prompt, suffix, think)
        )

    async def close(self) -> None:
        """Ends the children."""
        await asyncio.gather(*(renderer.stop() for renderer in self._idle))
        self._idle.clear()

    async def _ask(self, request: RenderRequest) -> str:
        template = hash(request.template)
        is_proven = self._proven.pop(template, self) is None
        async with contextlib.nullcontext() if is_proven else self._turn_of_strangers, self._turns:
            rendered = await self._rendered(request, is_proven=is_proven)
        if not rendered.is_overtime:
            self._prove(template)
        if rendered.error:
            raise TemplateError(rendered.error)
        return rendered.text

    async def _rendered(self, request: RenderRequest, *, is_proven: bool) -> Rendered:
        """The answer of an idle child, or of a new one: strangers get the youngest, whose start they may wait for."""
        self._has_begun = True
        self._idle = [renderer for renderer in self._idle if renderer.is_fit]
        renderer = self._idle.pop(-1 if is_proven else 0) if self._idle else _Renderer()
        try:
            return await renderer.answer(request)
        finally:
            if renderer.is_fit:
                self._idle.append(renderer)
            else:
                self._idle.insert(0, _Renderer())

    def _prove(self, template: int) -> None:
        self._proven[template] = None
        if len(self._proven) > _MAX_PROVEN:
            self._proven.popitem(last=False)


class _Renderer:
    """One child, which starts when this is made."""

    def __init__(self) -> None:
        self._starting = asyncio.create_task(
            Child.start("ollamapy.modelfile.renderer", self._on_line, name="templates"), name="start templates"
        )
        self._death: asyncio.Task[Exit] | None = None
        self._answer: asyncio.Future[Rendered] | None = None

    @property
    def is_fit(self) -> bool:
        """True while the child can be asked: it lives or is about to, and owes no answer."""
        start = self._starting
        is_lost = start.done() and (start.cancelled() or start.exception() or not start.result().is_running)
        return not is_lost and (self._answer is None or self._answer.done())

    async def answer(self, request: RenderRequest) -> Rendered:
        """The answer of the child. When none comes, the child is ended. Raises TemplateError."""
        child = await asyncio.shield(self._starting)
        self._death = self._death or asyncio.create_task(child.wait(), name="end of templates")
        self._answer = asyncio.get_running_loop().create_future()
        child.send(msgspec.json.encode(request))
        try:
            done, _ = await asyncio.wait(
                (self._answer, self._death), timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            if not self._answer.done():
                child.kill()
        if self._answer.done():
            return self._answer.result()
        exit_ = await self._death
        log.warning("template process ended reason=%s", exit_.reason)
        raise TemplateError(fault_of_death(exit_.status if done else -signal.SIGALRM))

    async def stop(self) -> None:
        """Ends the child."""
        with contextlib.suppress(OSError):
            child = await self._starting
            await child.stop()

    def _on_line(self, line: bytes) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(msgspec.json.decode(line, type=Rendered))
