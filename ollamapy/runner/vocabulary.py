"""Text to tokens and back, with the vocabulary of a model's file. Read-only, so every thread may use it."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp.llama_cpp as native

from ollamapy.runner.infill import Marks
from ollamapy.runner.weights import open_model
from ollamapy.runner.wordpiece import WordPiece
from ollamapy.wire.runner import Load


def load(request: Load, on_progress: Callable[[float], None]) -> "Vocabulary":
    """The vocabulary of the GGUF file at `request.path`, without its weights. Raises LoadFailed."""
    return Vocabulary(open_model(request, on_progress))


@dataclass(frozen=True, slots=True)
class SpecialTexts:
    """The texts of the special tokens, as templates want them."""

    bos_text: str
    eos_text: str


def tokens_of(vocab: Any, text: str, *, add_special: bool = False, is_parsed: bool = True) -> list[int]:
    """The ids of `text`; names of control tokens in it are these tokens if it is parsed, else letters."""
    data = text.encode("utf-8", "replace")
    size = len(data) + 8
    tokens = (native.llama_token * size)()
    count = native.llama_tokenize(vocab, data, len(data), tokens, size, add_special, is_parsed)
    if count < 0:
        size = -count
        tokens = (native.llama_token * size)()
        count = native.llama_tokenize(vocab, data, len(data), tokens, size, add_special, is_parsed)
    return list(tokens[:count])


def marks_of(vocab: Any) -> Marks:
    """The tokens around gaps that are to be filled."""
    return Marks(
        prefix=native.llama_vocab_fim_pre(vocab),
        suffix=native.llama_vocab_fim_suf(vocab),
        middle=native.llama_vocab_fim_mid(vocab),
        repository=native.llama_vocab_fim_rep(vocab),
        file=native.llama_vocab_fim_sep(vocab),
        beginning=(native.llama_vocab_bos(vocab),) if native.llama_vocab_get_add_bos(vocab) else (),
    )


class Vocabulary:
    """The tokens of a llama_model, which must outlive it.

    `prefix` and `suffix` are the tokens that stand around a text, `separator` one between two texts, if there is one
    besides these.
    """

    def __init__(self, model: Any) -> None:
        self._vocab = native.llama_model_get_vocab(model)
        self._num_tokens = native.llama_vocab_n_tokens(self._vocab)
        is_wordpiece = native.llama_vocab_type(self._vocab) == native.LLAMA_VOCAB_TYPE_WPM
        self._wordpiece = self._read_wordpiece() if is_wordpiece else None
        bos, eos = native.llama_vocab_bos(self._vocab), native.llama_vocab_eos(self._vocab)
        sep = native.llama_vocab_sep(self._vocab)
        has_sep = sep >= 0 and native.llama_vocab_get_add_sep(self._vocab)
        last = sep if is_wordpiece else eos
        self.prefix = [bos] if bos >= 0 and native.llama_vocab_get_add_bos(self._vocab) else []
        self.suffix = [last] if last >= 0 and (is_wordpiece or native.llama_vocab_get_add_eos(self._vocab)) else []
        self.separator = [sep] if has_sep and not is_wordpiece else []
        self.info = SpecialTexts(self._text_of(bos), self._text_of(eos))

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        """The ids of `text`. Special tokens are added only where the text does not have them already."""
        tokens = self._plain(text)
        if not add_special:
            return tokens
        before = [] if self.prefix and tokens[:1] == self.prefix else self.prefix
        after = [] if self.suffix and tokens[-1:] == self.suffix else self.suffix
        return [*before, *tokens, *after]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, special tokens written out; ids that are none are left out."""
        valid = [token for token in tokens if 0 <= token < self._num_tokens]
        return b"".join(self._piece(token) for token in valid).decode("utf-8", "replace")

    def _plain(self, text: str) -> list[int]:
        if self._wordpiece:
            return self._wordpiece.encode(text)
        return tokens_of(self._vocab, text)

    def _piece(self, token: int) -> bytes:
        size = 64
        buffer = ctypes.create_string_buffer(size)
        count = native.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = native.llama_token_to_piece(self._vocab, token, buffer, -count, 0, True)
        return buffer.raw[:count]

    def _text_of(self, token: int) -> str:
        return self._piece(token).decode("utf-8", "replace") if token >= 0 else ""

    def _read_wordpiece(self) -> WordPiece:
        pieces: dict[str, int] = {}
        control: dict[str, int] = {}
        for token in range(self._num_tokens):
            is_control = native.llama_vocab_get_attr(self._vocab, token) & native.LLAMA_TOKEN_ATTR_CONTROL
            text = native.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace")
            (control if is_control else pieces)[text] = token
        return WordPiece(pieces, control, control.get("[UNK]", 0))
