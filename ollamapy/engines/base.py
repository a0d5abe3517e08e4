"""The seam to whatever runs a model: `Runner`, a live process that serves one, and `Engine`, a way to start it."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from ollamapy.wire.runner import Embed, Embedding, Finished, Generate, Load, Output, Ready


class Runner(Protocol):
    """A loaded model. Every method raises RunnerDied when the process ends under it."""

    ready: Ready

    @property
    def is_alive(self) -> bool: ...

    def generate(self, request: Generate) -> AsyncGenerator[Output | Finished, None]:
        """The answer, ending with Finished. Closing the iterator cancels. Raises PromptTooLong or Error for a refusal.

        The runner chooses the request's `id`.
        """

    async def embed(self, request: Embed) -> Embedding:
        """The vectors. Cancelling the call cancels the work. Raises InvalidInput for texts that cannot be read."""

    async def tokenize(self, text: str, add_special: bool = True) -> Sequence[int]: ...

    async def detokenize(self, tokens: Sequence[int]) -> str: ...

    async def check(self) -> None:
        """Ends a process that hangs: its requests raise RunnerDied, and `on_death` is called. Free while it talks."""

    async def stop(self) -> None:
        """Ends the process; requests that still run raise RunnerDied."""


OnDeath = Callable[["Runner"], None]


class Engine(Protocol):
    """Starts a runner."""

    async def __call__(self, request: Load, on_death: OnDeath, stall_seconds: float) -> Runner:
        """Loads a model; raises LoadFailed. `on_death` is called once if the runner ends before `stop`.

        No sign of life for `stall_seconds` while loading is a failure. Cancelling the call ends the process.
        """
