"""The header reader on honest files: what it answers, and that it agrees with the gguf package."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from fakes import gguf_files as files
from fakes.gguf_files import Tensor, Typed
from gguf import GGUFReader, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from ollamapy import data
from ollamapy.errors import ModelFileError
from ollamapy.weights.gguf import ArrayInfo, GgufFile, inspect, is_gguf
from ollamapy.weights.tables import FILE_TYPES, TENSOR_TYPES

Written = Callable[[bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(content: bytes) -> Path:
        path = tmp_path / "model.gguf"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def read(written: Written) -> Callable[[bytes], GgufFile]:
    return lambda content: inspect(written(content))


def test_a_model_answers_the_questions_of_show_and_list(read):
    file = read(files.tiny_model())

    assert (file.architecture, file.kind, file.file_type) == ("llama", "model", "F16")
    assert (file.parameter_count, file.context_length, file.embedding_length) == (2080, 2048, 32)
    assert file.chat_template == "{{ messages[-1].content }}"
    assert not file.has_pooling


def test_tensors_come_with_their_place_in_the_file(read):
    content = files.gguf({}, [Tensor("a", (64, 2), files.TENSOR_Q4_0), Tensor("b", (3,))])

    file = read(content)

    first, second = file.tensors
    assert (first.name, first.type, first.shape, first.size_bytes) == ("a", "Q4_0", (64, 2), 72)
    assert first.offset == file.data_offset
    assert second.offset == file.data_offset + 96
    assert second.offset + second.size_bytes <= len(content) == file.size_bytes


def test_every_value_type_is_read(read):
    values = {
        "u8": Typed(files.U8, 255),
        "i8": Typed(files.I8, -128),
        "u16": Typed(files.U16, 65535),
        "i16": Typed(files.I16, -32768),
        "u32": Typed(files.U32, 2**32 - 1),
        "i32": Typed(files.I32, -(2**31)),
        "u64": Typed(files.U64, 2**64 - 1),
        "i64": Typed(files.I64, -(2**63)),
        "f32": 0.5,
        "f64": Typed(files.F64, 0.1),
        "true": True,
        "false": False,
        "text": "löwe\n",
        "empty text": "",
        "numbers": [1, 2, 3],
        "texts": ["", "a", "löwe"],
        "flags": [True, False],
        "nothing": Typed(files.F32, []),
    }

    file = read(files.gguf(values))

    assert file.metadata == {key: getattr(value, "value", value) for key, value in values.items()}


@pytest.mark.parametrize("value", [1e-05, 1e-06, 0.1, 10000.0, 1e30, 3.4028235e38, float("inf"), 0.0, 1 / 3])
def test_a_small_float_reads_as_people_wrote_it(read, value):
    """1e-05 is stored in 32 bits; shown as a 64-bit number it would be 9.999999747378752e-06."""
    stored = struct.unpack("<f", struct.pack("<f", value))[0]

    found = read(files.gguf({"x": value})).metadata["x"]

    assert struct.pack("<f", found) == struct.pack("<f", value)
    assert len(repr(found)) <= len(repr(stored))
    assert found == value or value == 1 / 3


def test_without_arrays_their_type_and_length_are_told(written):
    path = written(files.gguf({"t": ["a", "bc"], "n": [1, 2, 3], "e": Typed(files.F32, []), "last": 7}))

    metadata = inspect(path, arrays=False).metadata

    assert metadata == {
        "t": ArrayInfo("string", 2),
        "n": ArrayInfo("u32", 3),
        "e": ArrayInfo("f32", 0),
        "last": 7,
    }


def test_both_ways_of_reading_agree_on_headers_larger_than_one_read(written):
    words = [f"token-{number}" * (number % 5) for number in range(150_000)]
    path = written(files.gguf({"words": words, "numbers": list(range(100_000)), "last": "here"}))
    assert path.stat().st_size > 4 << 20

    full, brief = inspect(path), inspect(path, arrays=False)

    assert full.metadata["words"] == words
    assert full.metadata["numbers"][-1] == 99_999
    assert brief.metadata["words"] == ArrayInfo("string", 150_000)
    assert brief.metadata["last"] == full.metadata["last"] == "here"
    assert brief.data_offset == full.data_offset


def test_a_torn_character_among_the_tokens_is_replaced(read):
    file = read(files.gguf({"tokens": Typed(files.STRING, [b"ok", b"\xe2\x82"])}))

    assert file.metadata["tokens"] == ["ok", "�"]


def test_version_2_is_read(read):
    assert read(files.gguf({"a": 1}, version=2)).version == 2


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_the_alignment_of_the_file_places_the_tensors(read, alignment):
    file = read(files.gguf({}, [Tensor("a", (3,)), Tensor("b", (3,))], alignment=alignment))

    assert file.alignment == alignment
    assert all(tensor.offset % alignment == 0 for tensor in file.tensors)


def test_the_last_tensor_needs_no_padding(read):
    content = files.gguf({}, [Tensor("a", (3,))])

    assert read(content[: -(32 - 12)]).tensors[0].size_bytes == 12


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (files.tiny_model(), "model"),
        (files.tiny_adapter(), "adapter"),
        (files.tiny_projector(), "projector"),
        (files.gguf({"general.type": "projector"}), "projector"),
        (files.gguf({"general.architecture": "clip", "clip.vision.block_count": 24}), "projector"),
        (files.tiny_model(llama__vision__block_count=24), "model"),
        (files.gguf({}), "model"),
    ],
)
def test_the_kind_of_layer_follows_type_and_blocks(read, content, kind):
    assert read(content).kind == kind


def test_wrong_types_in_well_known_keys_count_as_absent(read):
    file = read(
        files.tiny_model(
            general__architecture=7, general__file_type="F16", tokenizer__chat_template=[1], general__type=2
        )
    )

    assert (file.architecture, file.file_type, file.chat_template, file.kind) == ("", "unknown", None, "model")
    assert file.context_length == 0


def test_a_length_that_is_a_boolean_counts_as_absent(read):
    assert read(files.tiny_model(llama__context_length=True)).context_length == 0


def test_pooling_makes_an_embedding_model(read):
    assert read(files.tiny_model(llama__pooling_type=1)).has_pooling


@pytest.mark.parametrize(
    ("number", "name"),
    [
        *[(None, "unknown"), (0, "unknown"), (1, "F16"), (3, "Q4_1"), (15, "Q4_K_M"), (32, "BF16")],
        *[(38, "MXFP4_MOE"), (40, "Q1_0"), (33, "unknown"), (1024, "unknown"), (2**32 - 1, "unknown")],
    ],
)
def test_the_file_type_has_the_name_that_lists_show(read, number, name):
    assert read(files.tiny_model(general__file_type=number)).file_type == name


def test_the_tensor_types_are_those_of_the_gguf_package():
    ours = {number: kind[1:] for number, kind in TENSOR_TYPES.items()}
    theirs = {kind.value: sizes for kind, sizes in GGML_QUANT_SIZES.items()}
    theirs[9] = (32, 36)  # Q8_1 is two halves and 32 bytes in ggml; the package is wrong, and no file holds it

    assert ours == theirs
    assert all(GGMLQuantizationType(number).name == kind.name for number, kind in TENSOR_TYPES.items())


def test_the_file_types_are_those_of_the_gguf_package():
    theirs = {kind.value: kind.name.removeprefix("MOSTLY_") for kind in LlamaFileType}
    theirs = {number: name for number, name in theirs.items() if name not in {"ALL_F32", "GUESSED"}}

    assert theirs == FILE_TYPES


def test_a_file_of_the_gguf_package_reads_as_it_reads_it_itself(tmp_path):
    path = tmp_path / "written.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list(["<s>", "ä", "b" * 300])
    writer.add_token_scores([0.0, -1.5, 2.0])
    writer.add_add_bos_token(True)
    writer.add_tensor("a", numpy.ones((4, 64), dtype=numpy.float32))
    writer.add_tensor("b", numpy.ones((2, 3, 32), dtype=numpy.float16))
    quantized = numpy.zeros((5, 2 * 34), dtype=numpy.uint8)
    writer.add_tensor("c", quantized, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    ours, theirs = inspect(path), GGUFReader(path)

    fields = {key: field.contents() for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert {key: pytest.approx(value) for key, value in ours.metadata.items()} == fields
    assert [
        (tensor.name, tensor.type, list(tensor.shape), tensor.offset, tensor.size_bytes) for tensor in ours.tensors
    ] == [
        (tensor.name, tensor.tensor_type.name, tensor.shape.tolist(), tensor.data_offset, int(tensor.n_bytes))
        for tensor in theirs.tensors
    ]
    assert ours.data_offset == theirs.data_offset


def test_the_shipped_echo_model_is_what_the_writer_writes():
    assert (data.folder("registry") / "echo.gguf").read_bytes() == files.echo_gguf()


def test_the_echo_model_is_a_small_model_with_a_template(read):
    content = files.echo_gguf(step_seconds=0.5, fault="load-exit")

    file = read(content)

    assert (file.architecture, file.kind, file.context_length, file.tensors) == ("echo", "model", 4096, ())
    assert (file.metadata["echo.step_seconds"], file.metadata["echo.fault"]) == (0.5, "load-exit")
    assert len(files.echo_gguf()) < 1000


@pytest.mark.parametrize(("content", "answer"), [(b"GGUF", True), (b"GGU", False), (b"", False), (b"PK\3\4", False)])
def test_the_magic_number_tells_gguf_files(written, content, answer):
    assert is_gguf(written(content)) is answer


@pytest.mark.parametrize("question", [inspect, is_gguf])
def test_what_is_no_file_is_an_error_with_its_path(tmp_path, question):
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "missing", tmp_path / "pipe", tmp_path / "nul\0byte"):
        with pytest.raises(ModelFileError, match=r"cannot be read|wanted a file"):
            question(path)
