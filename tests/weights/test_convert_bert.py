"""From a folder with a BERT model to a GGUF file: what is in it, what is refused, and that it is always the same."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import tiny_bert

from ollamapy.child import python_environment
from ollamapy.errors import ModelFileError
from ollamapy.weights.capabilities import capabilities
from ollamapy.weights.convert import bert, safetensors
from ollamapy.weights.convert.folder import Folder
from ollamapy.weights.gguf import GgufFile, inspect
from ollamapy.wire.convert import Convert, Converted, ConvertFailed, Event, encode, event_decoder
from ollamapy.wire.manifest import Config

EMBED_GGUF_SHA256 = "0410d6413429d48698e2698938cb4ee6a895762a4869d199c94dabb23a52c365"


def converted(folder: Path, name: str = "model.gguf") -> GgufFile:
    bert.convert(Folder(folder), folder / name)
    return inspect(folder / name)


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason):
        bert.convert(Folder(folder), folder / "model.gguf")

    assert not (folder / "model.gguf").exists()


def test_the_header_says_what_the_config_says(tmp_path: Path) -> None:
    file = converted(tiny_bert.write(tmp_path))

    assert file.architecture == "bert"
    assert (file.context_length, file.embedding_length, file.file_type) == (64, 32, "F16")
    assert file.of_architecture("block_count") == 2
    assert file.of_architecture("attention.head_count") == 4
    assert file.of_architecture("attention.causal") is False
    assert capabilities(file, Config()) == ("embedding",)


@pytest.mark.parametrize(("pooling", "number"), [("mean_tokens", 1), ("cls_token", 2), ("lasttoken", 3)])
def test_the_pooling_of_the_makers_is_kept(tmp_path: Path, pooling: str, number: int) -> None:
    assert converted(tiny_bert.write(tmp_path, pooling=pooling)).of_architecture("pooling_type") == number


def test_a_folder_without_pooling_takes_the_mean(tmp_path: Path) -> None:
    (tiny_bert.write(tmp_path) / "1_Pooling" / "config.json").unlink()

    assert converted(tmp_path).of_architecture("pooling_type") == 1


@pytest.mark.parametrize("is_normalised", [True, False])
def test_whether_vectors_are_normalised_is_kept(tmp_path: Path, is_normalised: bool) -> None:
    file = converted(tiny_bert.write(tmp_path, is_normalised=is_normalised))

    assert file.of_architecture("normalize_embeddings") is is_normalised


def test_the_vocabulary_is_spelled_for_llama_cpp(tmp_path: Path) -> None:
    metadata = converted(tiny_bert.write(tmp_path)).metadata

    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    assert metadata["tokenizer.ggml.model"] == "bert"
    assert tokens[:6] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "▁a"]
    assert tokens[-4:] == ["▁sky", "ing", "▁is", "▁blue"]
    assert types == [3] * 5 + [1] * (len(tokens) - 5)
    assert metadata["tokenizer.ggml.bos_token_id"] == 2
    assert metadata["tokenizer.ggml.seperator_token_id"] == 3


def test_matrices_become_f16_and_the_rest_stays_f32(tmp_path: Path) -> None:
    types = {tensor.name: tensor.type for tensor in converted(tiny_bert.write(tmp_path)).tensors}

    assert len(types) == 3 + 2 + 2 * 16
    assert types["token_embd.weight"] == types["blk.1.ffn_down.weight"] == "F16"
    assert {types[name] for name in types if name.endswith(".bias") or "norm" in name} == {"F32"}
    assert types["position_embd.weight"] == types["token_types.weight"] == "F32"


def test_the_prefix_of_a_model_with_heads_is_no_matter(tmp_path: Path) -> None:
    plain = converted(tiny_bert.write(tmp_path), "plain.gguf")
    renamed = {f"bert.{name}": array for name, array in tiny_bert.weights().items()}

    tiny_bert.write(tmp_path, arrays=renamed)

    assert converted(tmp_path).tensors == plain.tensors


def test_converting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    tiny_bert.write(tmp_path)
    converted(tmp_path, "first.gguf")
    converted(tmp_path, "second.gguf")

    assert (tmp_path / "first.gguf").read_bytes() == (tmp_path / "second.gguf").read_bytes()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "llama"}, "only BERT models can be converted: config.json says"),
        ({"architectures": ["BertForSequenceClassification"]}, "config.json says .'BertForSequenceClassification'"),
        ({"hidden_act": "relu"}, "wanted hidden_act 'gelu', found 'relu'"),
        ({"position_embedding_type": "relative_key"}, "wanted position_embedding_type 'absolute'"),
        ({"num_hidden_layers": 0}, "wanted a number above zero as num_hidden_layers, found 0"),
        ({"hidden_size": "32"}, "wanted a number above zero as hidden_size, found '32'"),
        ({"vocab_size": 5}, "vocab.txt has 67 words, config.json says 5"),
        ({"num_hidden_layers": 1}, "a BERT model has no tensor 'encoder.layer.1"),
    ],
)
def test_a_config_that_cannot_be_followed_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    refused(tiny_bert.write(tmp_path, **config), reason)


@pytest.mark.parametrize(
    ("tokenizer", "reason"),
    [
        ({"do_lower_case": False}, "wanted do_lower_case true, found false"),
        ({"strip_accents": False}, "wanted strip_accents unset, found false"),
        ({"tokenize_chinese_chars": False}, "wanted tokenize_chinese_chars true"),
        ({"cls_token": "<s>"}, 'wanted the cls_token "<s>", found no such word'),
        ({"cls_token": {"content": ["[CLS]"]}}, "wanted the cls_token"),
    ],
)
def test_a_tokenizer_that_would_read_texts_otherwise_is_refused(
    tmp_path: Path, tokenizer: dict[str, Any], reason: str
) -> None:
    refused(tiny_bert.write(tmp_path, tokenizer=tokenizer), reason)


def test_a_pooling_that_llama_cpp_does_not_have_is_refused(tmp_path: Path) -> None:
    refused(tiny_bert.write(tmp_path, pooling="max_tokens"), "found pooling_mode_max_tokens")


def test_a_word_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    vocabulary = tiny_bert.write(tmp_path) / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("blue", "sky"))

    refused(tmp_path, "a word is there twice")


def test_numbers_that_f16_cannot_hold_are_refused(tmp_path: Path) -> None:
    arrays = tiny_bert.weights()
    arrays["embeddings.word_embeddings.weight"][3, 3] = 1e6

    refused(tiny_bert.write(tmp_path, arrays=arrays), "token_embd.weight has numbers that F16 cannot hold")


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "tokenizer_config.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"[]"], ids=["binary", "deep", "a list"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tiny_bert.write(tmp_path) / name).write_bytes(content)

    refused(tmp_path, name)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (tiny_bert.write(tmp_path) / name).unlink()

    refused(tmp_path, name)


def events(folder: Path, output: Path) -> list[Event]:
    """What the child says about a conversion."""
    command = [sys.executable, "-m", "ollamapy.weights.convert"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=python_environment()) as child:
        assert child.stdin
        assert child.stdout
        child.stdin.write(encode(Convert(str(folder), str(output))) + b"\n")
        child.stdin.flush()
        lines = child.stdout.read().splitlines()
    assert child.returncode == 0
    return [event_decoder.decode(line) for line in lines]


def test_the_child_converts_and_says_when_it_is_done(tmp_path: Path) -> None:
    assert events(tiny_bert.write(tmp_path), tmp_path / "model.gguf") == [Converted()]
    assert inspect(tmp_path / "model.gguf").architecture == "bert"


def test_the_child_says_why_it_cannot(tmp_path: Path) -> None:
    said = events(tiny_bert.write(tmp_path, model_type="llama"), tmp_path / "model.gguf")

    assert isinstance(said[-1], ConvertFailed)
    assert "only BERT models can be converted" in said[-1].message


def test_a_child_whose_parent_is_gone_ends(tmp_path: Path) -> None:
    """It waits for its request with a pipe that nobody holds."""
    done = subprocess.run(
        [sys.executable, "-m", "ollamapy.weights.convert"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=240,
        env={**os.environ, **python_environment()},
        check=False,
    )

    assert done.returncode == 0
    assert done.stdout == b""


@pytest.mark.weights
def test_the_embedding_starter_converts_to_the_bytes_that_the_catalogue_promises(embed_gguf: Path) -> None:
    assert hashlib.sha256(embed_gguf.read_bytes()).hexdigest() == EMBED_GGUF_SHA256


@pytest.mark.weights
def test_no_weight_is_lost(embed_folder: Path, embed_gguf: Path) -> None:
    """Every number is its F16 neighbour at worst."""
    import gguf

    source = safetensors.read(embed_folder / "model.safetensors")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(embed_gguf).tensors}

    matrix = source.array("encoder.layer.5.intermediate.dense.weight")
    found = np.asarray(stored["blk.5.ffn_up.weight"].data).reshape(matrix.shape)
    assert np.array_equal(found, matrix.astype(np.float16))
