"""Owns the child process that renders chat templates: starts it, asks it, replaces it when it hangs or dies."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence

import msgspec

from ollamapy.child import Child
from ollamapy.errors import TemplateError
from ollamapy.modelfile.renderer import Rendered, RenderGo, RenderJinja, RenderRequest
from ollamapy.wire.native import Message, Think, Tool

ANSWER_SECONDS = 5.0
"""Wall time after which a child that bounds its own processor time must be stuck."""

log = logging.getLogger(__name__)


class Templates:
    """Renders chat templates out of the daemon's process."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._child: Child | None = None
        self._waiting: dict[int, asyncio.Future[Rendered]] = {}
        self._starting = asyncio.Lock()  # two first requests must share one child
        self._turn = asyncio.Lock()  # a template that gets the child killed must not take others along

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
            lambda request_id: RenderJinja(
                request_id, template, tuple(messages), tuple(tools), think, bos_text, eos_text
            )
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
            lambda request_id: RenderGo(request_id, template, tuple(messages), tuple(tools), prompt, suffix, think)
        )

    async def _ask(self, make: Callable[[int], RenderRequest]) -> str:
        request = make(next(self._ids))
        async with self._turn:
            rendered = await self._answer(request)
        if rendered.error:
            raise TemplateError(rendered.error)
        return rendered.text

    async def _answer(self, request: RenderRequest) -> Rendered:
        child = await self._living_child()
        future: asyncio.Future[Rendered] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        try:
            child.send(msgspec.json.encode(request))
            return await asyncio.wait_for(future, ANSWER_SECONDS)
        except TimeoutError:
            child.kill()
            raise TemplateError(f"the chat template did not finish within {ANSWER_SECONDS:g} s") from None
        finally:
            self._waiting.pop(request.id, None)

    async def close(self) -> None:
        """Ends the child."""
        if self._child:
            await self._child.stop()

    async def _living_child(self) -> Child:
        async with self._starting:
            if self._child is None:
                self._child = await Child.start("ollamapy.modelfile.renderer", self._on_line, name="templates")
                self._watcher = asyncio.create_task(self._watch(self._child))
            return self._child

    def _on_line(self, line: bytes) -> None:
        rendered = msgspec.json.decode(line, type=Rendered)
        future = self._waiting.get(rendered.id)
        if future and not future.done():
            future.set_result(rendered)

    async def _watch(self, child: Child) -> None:
        exit_ = await child.wait()
        if self._child is child:
            self._child = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(TemplateError(f"the template process ended: {exit_.reason}"))
