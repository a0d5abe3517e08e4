"""What a runner said, or how it ended, as the exception that a caller gets. Pure."""

from ollamapy.child import Exit
from ollamapy.errors import (
    Error,
    InvalidInput,
    LoadFailed,
    ModelFileError,
    OutOfMemory,
    PromptTooLong,
    RunnerDied,
    Unsupported,
)
from ollamapy.wire.runner import Event, LoadError, Refusal

DIED = (
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
    "check ollama server logs for details"
)

_OUT_OF_MEMORY = (
    "out of memory",
    "failed to allocate",
    "allocation failed",
    "not enough memory",
    "insufficient memory",
    "out of device memory",
    "cudamalloc failed",
    "hipmalloc failed",
    "bad_alloc",
    "memoryerror",
)
"""What engines, C++ and Python say when there is not enough memory."""


def load_failure(failed: LoadError, exit_: Exit) -> Error:
    """Why a model did not load, with the line that the ended child printed last: memory, the file, or anything else."""
    _, _, last_words = exit_.reason.partition(": ")
    text = f"unable to load model: {failed.message}{last_words and f': {last_words}'}"
    if any(tells_of_memory(line) for line in (failed.message, *exit_.stderr)):
        return OutOfMemory(text, hint=failed.hint)
    return (ModelFileError if failed.code == ModelFileError.code else LoadFailed)(text, hint=failed.hint)


def tells_of_memory(line: str) -> bool:
    return any(words in line.lower() for words in _OUT_OF_MEMORY)


def death(exit_: Exit) -> RunnerDied:
    return RunnerDied(f"{DIED}: {exit_.reason}", hint=exit_.reason)


def as_error(event: Event | RunnerDied) -> Error:
    """The exception for an event that ends a request."""
    match event:
        case RunnerDied():
            return RunnerDied(event.message, hint=event.hint)
        case Refusal(code="prompt_too_long"):
            return PromptTooLong(event.message, num_prompt=event.num_prompt, limit=event.limit)
        case Refusal(code="invalid"):
            return InvalidInput(event.message)
        case Refusal(code="unsupported"):
            return Unsupported(event.message)
        case Refusal():
            return Error(f"an error was encountered while running the model: {event.message}")
        case _:
            return Error(f"the runner sent {type(event).__name__} where an answer was expected")
