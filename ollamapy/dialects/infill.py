"""`/infill` of llama.cpp's server over the native generate: requests one way, answers the other. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ollamapy.dialects.extra import extras_of
from ollamapy.errors import Error
from ollamapy.wire.infill import InfillAnswer, InfillChunk, InfillError, InfillErrorBody, InfillRequest, Timings
from ollamapy.wire.native import ExtraFile, GenerateRequest, GenerateResponse
from ollamapy.wire.options import Options

_OPTIONS = [name for name in InfillRequest.__struct_fields__ if name in Options.__struct_fields__ and name != "grammar"]
_RENAMED = {"n_predict": "num_predict", "n_keep": "num_keep"}
_LISTS = ("samplers", "stop", "dry_sequence_breakers")

_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    501: "not_supported_error",
    503: "unavailable_error",
}


def request_of(wanted: InfillRequest, model: str) -> GenerateRequest:
    """The native request for `model`, always in chunks. A fill never loses the text at its gap to go on."""
    return GenerateRequest(
        model=model,
        prompt=wanted.input_prefix + (wanted.prompt or ""),
        suffix=wanted.input_suffix,
        extra=tuple(ExtraFile(file.text, file.filename or "") for file in wanted.input_extra or ()),
        stream=bool(wanted.stream),
        format=wanted.json_schema,
        think=wanted.think,
        shift=False,
        options={**(wanted.options or {}), **_options_of(wanted)},
        **extras_of(wanted, GenerateRequest),
    )


def _options_of(wanted: InfillRequest) -> dict[str, Any]:
    names = {**{name: name for name in _OPTIONS}, **_RENAMED}
    given = {native: getattr(wanted, name) for name, native in names.items()}
    return {
        name: list(value) if name in _LISTS else value
        for name, value in given.items()
        if value is not None and value != ()
    }


def answer_of(wanted: InfillRequest, answer: GenerateResponse) -> InfillAnswer:
    """The whole answer. A request for no tokens only warms the cache: it gets no text."""
    content = answer.response if wanted.n_predict != 0 else ""
    num_prompt, num_cached = answer.prompt_eval_count, answer.prompt_cached_count
    return InfillAnswer(
        content=content,
        model=answer.model,
        tokens_predicted=answer.eval_count,
        tokens_evaluated=num_prompt,
        tokens_cached=num_prompt + answer.eval_count,
        has_new_line="\n" in content,
        truncated=answer.prompt_dropped_count > 0,
        prompt_dropped_count=answer.prompt_dropped_count,
        stop_type="limit" if answer.done_reason == "length" else "eos",
        timings=_timings(num_cached, num_prompt - num_cached, answer),
        warning=answer.warning or msgspec.UNSET,
    )


def _timings(num_cached: int, num_computed: int, answer: GenerateResponse) -> Timings:
    prompt_ms, predicted_ms = answer.prompt_eval_duration / 1e6, answer.eval_duration / 1e6
    return Timings(
        num_cached,
        num_computed,
        prompt_ms,
        _part(prompt_ms, num_computed),
        _part(1e3 * num_computed, prompt_ms),
        answer.eval_count,
        predicted_ms,
        _part(predicted_ms, answer.eval_count),
        _part(1e3 * answer.eval_count, predicted_ms),
    )


def _part(amount: float, of: float) -> float:
    return amount / of if of else 0.0


class InfillStream:
    """The events of an answer, from native chunks."""

    def __init__(self, wanted: InfillRequest) -> None:
        self._wanted = wanted
        self._has_new_line = False

    def push(self, index: int, answer: GenerateResponse) -> Iterator[InfillChunk | InfillAnswer]:
        """What to send for the next object."""
        if not answer.done:
            if self._wanted.n_predict != 0:
                self._has_new_line = self._has_new_line or "\n" in answer.response
                yield InfillChunk(index, answer.response, False)
            return
        last = answer_of(self._wanted, answer)
        yield msgspec.structs.replace(last, has_new_line=last.has_new_line or self._has_new_line)

    def finish(self) -> Iterator[InfillChunk]:
        """Nothing comes after the last object."""
        return iter(())


def fields_of(answer: InfillAnswer, paths: Sequence[str]) -> dict[str, Any]:
    """Of the answer what the paths name, each under its path: `timings/prompt_n`. What is not there is left out."""
    whole = msgspec.to_builtins(answer)
    found = {path: _at(whole, path.split("/")) for path in paths}
    return {path: value for path, value in found.items() if value is not None}


def _at(value: Any, names: Sequence[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def error_of(failure: Error) -> InfillError:
    """The body of an error, whole or in a stream."""
    kind = _TYPES.get(failure.status, "server_error")
    return InfillError(InfillErrorBody(failure.status, failure.message, kind, failure.hint))
