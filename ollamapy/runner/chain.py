"""What a request's options make of llama.cpp's samplers: one native chain that ends in a choice.

Order: bias, then `samplers` (by default llama.cpp's own order), then the choice. Greedy answers keep only what looks at
past tokens; mirostat takes the place of everything that cuts off or chooses.
"""

import ctypes
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import llama_cpp.llama_cpp as native

from ollamapy.errors import InvalidInput
from ollamapy.wire.options import GAP_SAMPLER, SAMPLERS, Options

_LEAST_TEMPERATURE = 1e-5
"""Below it logits divided by the temperature overflow; the answer is greedy anyway."""
_MIROSTAT_TOKENS = 100
"""From how many of the likeliest tokens mirostat 1 estimates the slope, as in llama.cpp."""
_MAX_DRY_TEMPLATES = 16
_MOST_JOINED = 100
"""The sampler for gaps compares all candidates with each other: the whole vocabulary would take minutes a token."""
_HISTORY = ("penalties", "dry")


class Chains:
    """Makes the chains of one model's requests. Whoever gets a chain frees it."""

    def __init__(self, vocab: Any) -> None:
        self._vocab = vocab
        self._num_vocab = native.llama_vocab_n_tokens(vocab)
        self._dry: dict[tuple[object, ...], Any] = {}

    def make(self, options: Options, num_ctx: int, prompt: Sequence[int]) -> Any:
        """A chain that remembers the prompt's end. Raises InvalidInput for what the model has no tokens for."""
        self._check_bias(options)
        self._check_end(options)
        chain = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        for sampler in self._samplers(options, num_ctx):
            native.llama_sampler_chain_add(chain, sampler)
        for token in prompt[len(prompt) - _num_remembered(options, num_ctx) :]:
            native.llama_sampler_accept(chain, token)
        return chain

    def _samplers(self, options: Options, num_ctx: int) -> Iterator[Any]:
        seed = secrets.randbits(32) if options.seed < 0 else options.seed & 0xFFFFFFFF
        if options.logit_bias:
            yield self._bias(options)
        for name in _names(options):
            if name == "penalties" and _penalty_window(options, num_ctx):
                yield self._penalties(options, num_ctx)
            elif name == "dry" and _dry_window(options, num_ctx):
                yield self._dry_clone(options, num_ctx)
            elif name == GAP_SAMPLER:
                yield native.llama_sampler_init_top_k(_MOST_JOINED)
                yield native.llama_sampler_init_infill(self._vocab)
            elif name in _STAGES and (sampler := _STAGES[name](options, seed)):
                yield sampler
        yield self._choice(options, seed)

    def _choice(self, options: Options, seed: int) -> Any:
        tau, eta = options.mirostat_tau, options.mirostat_eta
        if options.temperature < _LEAST_TEMPERATURE:
            return native.llama_sampler_init_greedy()
        if options.mirostat == 1:
            return native.llama_sampler_init_mirostat(self._num_vocab, seed, tau, eta, _MIROSTAT_TOKENS)
        if options.mirostat == 2:
            return native.llama_sampler_init_mirostat_v2(seed, tau, eta)
        return native.llama_sampler_init_dist(seed)

    def _check_bias(self, options: Options) -> None:
        for token, _ in options.logit_bias:
            if not 0 <= token < self._num_vocab:
                raise InvalidInput(
                    f"logit_bias names token {token}, which the model does not have",
                    hint=f"its tokens are 0 to {self._num_vocab - 1}",
                )

    def _check_end(self, options: Options) -> None:
        """llama.cpp ends the process when the sampler for gaps has no token to end an answer with."""
        has_end = native.llama_vocab_eot(self._vocab) >= 0 or native.llama_vocab_eos(self._vocab) >= 0
        if GAP_SAMPLER in options.samplers and not has_end:
            raise InvalidInput("the sampler infill needs a model that has a token for the end of an answer")

    def _bias(self, options: Options) -> Any:
        biases = [native.llama_logit_bias(token, bias) for token, bias in options.logit_bias]
        array = (native.llama_logit_bias * len(biases))(*biases)
        return native.llama_sampler_init_logit_bias(self._num_vocab, len(biases), array)

    def _penalties(self, options: Options, num_ctx: int) -> Any:
        strengths = (options.repeat_penalty, options.frequency_penalty, options.presence_penalty)
        return native.llama_sampler_init_penalties(self._num_vocab, _penalty_window(options, num_ctx), *strengths)

    def _dry_clone(self, options: Options, num_ctx: int) -> Any:
        """A copy of a sampler made before: making one looks at every token of the vocabulary."""
        breakers = tuple(text.encode("utf-8", "replace") for text in options.dry_sequence_breakers)
        strengths = (
            options.dry_multiplier,
            options.dry_base,
            options.dry_allowed_length,
            _dry_window(options, num_ctx),
        )
        key = (strengths, breakers)
        if key not in self._dry:
            if len(self._dry) >= _MAX_DRY_TEMPLATES:
                self.close()
            array = (ctypes.c_char_p * len(breakers))(*breakers)
            self._dry[key] = native.llama_sampler_init_dry(self._vocab, *strengths, array, len(breakers))
        return native.llama_sampler_clone(self._dry[key])

    def close(self) -> None:
        for template in self._dry.values():
            native.llama_sampler_free(template)
        self._dry.clear()


def _names(options: Options) -> Sequence[str]:
    """The samplers before the choice, in order."""
    names = options.samplers or SAMPLERS
    if options.temperature < _LEAST_TEMPERATURE:
        return [name for name in names if name in _HISTORY]
    if options.mirostat:
        return [name for name in names if name in (*_HISTORY, "temperature")]
    return names


def _penalty_window(options: Options, num_ctx: int) -> int:
    """How many past tokens the penalties look at; 0 when they are off."""
    is_on = options.repeat_penalty != 1.0 or options.frequency_penalty or options.presence_penalty
    return _window(options.repeat_last_n, num_ctx) if is_on else 0


def _dry_window(options: Options, num_ctx: int) -> int:
    return _window(options.dry_penalty_last_n, num_ctx) if options.dry_multiplier else 0


def _window(last_n: int, num_ctx: int) -> int:
    return num_ctx if last_n < 0 else min(last_n, num_ctx)


def _num_remembered(options: Options, num_ctx: int) -> int:
    return max(_penalty_window(options, num_ctx), _dry_window(options, num_ctx))


def _temperature(options: Options, seed: int) -> Any:
    if options.dynatemp_range:
        temperatures = (options.temperature, options.dynatemp_range, options.dynatemp_exponent)
        return native.llama_sampler_init_temp_ext(*temperatures)
    return native.llama_sampler_init_temp(options.temperature)


_STAGES: Mapping[str, Callable[[Options, int], Any]] = {
    "top_n_sigma": lambda o, _: o.top_n_sigma > 0 and native.llama_sampler_init_top_n_sigma(o.top_n_sigma),
    "top_k": lambda o, _: o.top_k > 0 and native.llama_sampler_init_top_k(min(o.top_k, 2**31 - 1)),
    "typ_p": lambda o, _: o.typical_p < 1.0 and native.llama_sampler_init_typical(o.typical_p, 1),
    "top_p": lambda o, _: o.top_p < 1.0 and native.llama_sampler_init_top_p(o.top_p, 1),
    "min_p": lambda o, _: o.min_p > 0.0 and native.llama_sampler_init_min_p(o.min_p, 1),
    "xtc": lambda o, seed: (
        o.xtc_probability > 0 and native.llama_sampler_init_xtc(o.xtc_probability, o.xtc_threshold, 1, seed)
    ),
    "temperature": _temperature,
}
"""Samplers that need nothing but options and a seed; a false value is a sampler that is off."""
