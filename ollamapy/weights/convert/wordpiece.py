"""The WordPiece vocabulary of a BERT model, in the spelling of llama.cpp's `bert` tokenizer. Decides; reads no files.

In `vocab.txt` a word begins as it is written and goes on with `##`. llama.cpp marks the beginning instead, with
U+2581, and matches what goes on bare. Control tokens keep their names, so that they are found in a text.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gguf

from ollamapy.errors import ModelFileError

_BEGINS = "\N{LOWER ONE EIGHTH BLOCK}"
_CONTINUES = "##"
_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ALWAYS = {"do_lower_case": True, "tokenize_chinese_chars": True, "strip_accents": None, "do_basic_tokenize": True}
"""What llama.cpp does with every text for this tokenizer. A model that wants it otherwise would be misread."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`tokens` and `types` by id; `special` ids by the names of the tokenizer's config."""

    tokens: Sequence[str]
    types: Sequence[int]
    special: Mapping[str, int]


def vocabulary(words: Sequence[str], config: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of `words` by id. Raises ModelFileError for a tokenizer that llama.cpp does not have."""
    for name, wanted in _ALWAYS.items():
        if (found := config.get(name, wanted)) != wanted:
            raise ModelFileError(f"tokenizer_config.json: wanted {name} {_shown(wanted)}, found {_shown(found)}")
    ids = {word: number for number, word in enumerate(words)}
    if len(ids) != len(words):
        raise ModelFileError("vocab.txt: a word is there twice")
    special = {name: _id(ids, name, config.get(name, usual)) for name, usual in _SPECIAL.items()}
    control = set(special.values())
    types = [gguf.TokenType.CONTROL if number in control else gguf.TokenType.NORMAL for number in range(len(words))]
    tokens = [word if number in control else _spelled(word) for number, word in enumerate(words)]
    return Vocabulary(tokens, types, special)


def _spelled(word: str) -> str:
    return word[len(_CONTINUES) :] if word.startswith(_CONTINUES) else _BEGINS + word


def _id(ids: Mapping[str, int], name: str, text: Any) -> int:
    text = text.get("content") if isinstance(text, dict) else text
    if not isinstance(text, str) or text not in ids:
        raise ModelFileError(f"vocab.txt: wanted the {name} {_shown(text)}, found no such word")
    return ids[text]


def _shown(value: Any) -> str:
    """A value of a JSON file, at most 80 characters of it."""
    return "unset" if value is None else json.dumps(value)[:80]
