"""BERT's tokenizer against the one that the models were trained with."""

from pathlib import Path

import pytest
from fakes.multilingual import SENTENCES, mixtures
from tokenizers import Tokenizer

from ollamapy.runner.wordpiece import WordPiece, words

VOCABULARY = ("[UNK]", "[CLS]", "▁un", "▁a", "aff", "able", "a", "b", "▁!", "▁东", "▁b")
TOY = WordPiece({text: number for number, text in enumerate(VOCABULARY) if number > 1}, {"[UNK]": 0, "[CLS]": 1}, 0)


def pieces(text: str) -> list[str]:
    return [VOCABULARY[number] for number in TOY.encode(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("  \n", []),
        ("unaffable", ["▁un", "aff", "able"]),
        ("UNÀFFABLE", ["▁un", "aff", "able"]),
        ("aab", ["▁a", "a", "b"]),
        ("ax", ["[UNK]"]),
        ("a!b", ["▁a", "▁!", "▁b"]),
        ("a东b", ["▁a", "▁东", "▁b"]),
        ("a\x00\u200b\ufffda", ["▁a", "a"]),
        ("a\u00a0a", ["▁a", "▁a"]),
        ("a[CLS]a", ["▁a", "[CLS]", "▁a"]),
        ("[cls]", ["[UNK]"] * 3),
        ("a" * 100, ["▁a", *["a"] * 99]),
        ("a" * 101, ["[UNK]"]),
        ("▁a", ["[UNK]"]),
        ("a▁b", ["[UNK]"]),
    ],
)
def test_a_word_is_its_longest_pieces(text: str, found: list[str]) -> None:
    assert pieces(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't!", ["don", "'", "t", "!"]),
        ("ΣΊΣΥΦΟΣ", ["σισυφοσ"]),
        ("İstanbul", ["istanbul"]),
        ("한", ["\u1112\u1161\u11ab"]),
        ("कि", ["कि"]),
        ("$1+1=2", ["$", "1", "+", "1", "=", "2"]),
    ],
)
def test_words_are_lowered_stripped_and_cut_at_punctuation(text: str, found: list[str]) -> None:
    assert list(words(text)) == found


def test_a_vocabulary_without_control_tokens_cuts_nothing_out() -> None:
    assert WordPiece({"▁a": 1}, {}, 0).encode("a [CLS]") == [1, 0, 0, 0]


@pytest.mark.weights
def test_a_thousand_texts_are_tokenized_as_the_models_own_tokenizer_does(embed_folder: Path) -> None:
    theirs = Tokenizer.from_file(str(embed_folder / "tokenizer.json"))
    theirs.no_padding()
    theirs.no_truncation()
    vocabulary = (embed_folder / "vocab.txt").read_text().splitlines()
    control = {name: vocabulary.index(name) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")}
    spelled = {text.removeprefix("##") if text.startswith("##") else f"▁{text}": n for n, text in enumerate(vocabulary)}
    ours = WordPiece(spelled, control, control["[UNK]"])

    for text in (*SENTENCES, *mixtures(1000)):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, text
