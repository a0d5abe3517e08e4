"""Draws tokens from made-up logits by the chains of `runner/chain.py`: JSON in on stdin, JSON out.

A program of its own because llama.cpp belongs into child processes. Of the model only the vocabulary is loaded.
"""

import json
import os
import sys
from typing import Any

import llama_cpp.llama_cpp as native
import msgspec
import numpy as np
import numpy.typing as npt

from ollamapy.errors import InvalidInput
from ollamapy.runner.chain import Chains
from ollamapy.runner.sampler import LlamaSampler
from ollamapy.wire.options import Options

NUM_CTX = 64


class Still:
    """The same logits at every step."""

    def __init__(self, row: npt.NDArray[np.float32]) -> None:
        self._row = row

    def row(self, row: int) -> npt.NDArray[np.float32]:
        return self._row.copy()


def tokens_of(vocab: Any, texts: list[str]) -> list[int]:
    found = (native.llama_token * 4)()
    counts = [native.llama_tokenize(vocab, text.encode(), len(text), found, 4, False, False) for text in texts]
    assert counts == [1] * len(texts)
    tokens = []
    for text in texts:
        native.llama_tokenize(vocab, text.encode(), len(text), found, 4, False, False)
        tokens.append(found[0])
    return tokens


def draw(chains: Chains, case: dict[str, Any], tokens: list[int], row: npt.NDArray[np.float32]) -> list[int] | str:
    options = msgspec.convert({**case["options"], "logit_bias": case["bias"]}, Options)
    options = msgspec.structs.replace(
        options, logit_bias=tuple((tokens[k] if 0 <= k < len(tokens) else k, bias) for k, bias in case["bias"])
    )
    try:
        chain = chains.make(options, NUM_CTX, [tokens[k] for k in case["prompt"]])
    except InvalidInput as error:
        return error.message
    sampler = LlamaSampler(Still(row), chain)  # type: ignore[arg-type]
    drawn = []
    for _ in range(case["count"]):
        token = sampler.choose_free(0)
        sampler.accept_free(token)
        drawn.append(tokens.index(token) if token in tokens else -1)
    sampler.close()
    return drawn


def main() -> None:
    wanted = json.load(sys.stdin)
    native.llama_log_set(_SILENCE, None)
    params = native.llama_model_default_params()
    params.vocab_only = True
    model = native.llama_model_load_from_file(os.fsencode(wanted["path"]), params)
    vocab = native.llama_model_get_vocab(model)
    tokens = tokens_of(vocab, wanted["texts"])
    row = np.full(native.llama_vocab_n_tokens(vocab), -50, np.float32)
    row[tokens] = wanted["logits"]
    chains = Chains(vocab)
    print(json.dumps({name: draw(chains, case, tokens, row) for name, case in wanted["cases"].items()}))
    chains.close()


_SILENCE = native.llama_log_callback(lambda level, text, data: None)

if __name__ == "__main__":
    main()
