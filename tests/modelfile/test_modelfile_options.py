"""Options from text and from JSON, laid over each other, and printed again."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.errors import InvalidInput, OptionError
from ollamapy.modelfile.options import (
    DEPRECATED,
    OPTIONS,
    check_options,
    format_parameters,
    format_value,
    go_quote,
    merge,
    parse_parameter,
    parse_parameters,
    single,
)
from ollamapy.modelfile.ranges import MAX_BIASES, MAX_BREAKERS, RANGES
from ollamapy.wire.options import SAMPLERS, Options

INTEGERS = [name for name, kind in OPTIONS.items() if kind == "integer" and name not in RANGES]
FLOATS = [name for name, kind in OPTIONS.items() if kind == "float32" and name not in RANGES]


def test_the_table_names_exactly_the_options_of_the_wire() -> None:
    assert set(OPTIONS) == set(Options.__struct_fields__)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("+5", 5), ("-1", -1), ("007", 7), ("9223372036854775807", 2**63 - 1), ("0" * 9000 + "3", 3)],
)
def test_an_integer_is_decimal_with_an_optional_sign(name: str, text: str, value: int) -> None:
    assert parse_parameter(name, text) == value


@pytest.mark.parametrize(
    "text",
    ["", "4.0", "1_000", "abc", "0x10", "1e3", " 1", "1 ", "--1", "٣", "9223372036854775808", "1" * 9000, "1\n"],
)
def test_other_integers_are_refused_in_the_words_of_the_contract(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameter("num_ctx", text)

    assert str(caught.value) == f"invalid int value [{text}]"


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(
    ("text", "value"),
    [("0.7", 0.7), ("1", 1.0), (".5", 0.5), ("5.", 5.0), ("-2e-3", -0.002), ("3.4028235e38", 3.4028235e38)],
)
def test_a_float_is_decimal_with_an_optional_exponent(name: str, text: str, value: float) -> None:
    parsed = parse_parameter(name, text)

    assert isinstance(parsed, float)
    assert parsed == value


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "-Infinity", "0x1p4", "1_0", "1e", ".", "1e39", " 1", "1\n"])
def test_other_floats_are_refused_in_the_words_of_the_contract(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameter("temperature", text)

    assert str(caught.value) == f"invalid float value [{text}]"


@pytest.mark.parametrize(
    ("text", "shortest"),
    [
        ("0.12345678901", "0.12345679"),
        ("2.30512129673617", "2.3051212"),
        ("9.2015033167", "9.201504"),
        ("-3.64586125", "-3.6458611"),
        ("16777217", "16777216.0"),
    ],
)
def test_a_float_keeps_single_precision_and_its_shortest_decimal(text: str, shortest: str) -> None:
    """The decimals are Go's."""
    assert json.dumps(parse_parameter("temperature", text)) == shortest


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_the_words_for_true(text: str) -> None:
    assert parse_parameter("use_mmap", text) is True


@pytest.mark.parametrize("text", ["0", "f", "F", "FALSE", "false", "False"])
def test_the_words_for_false(text: str) -> None:
    assert parse_parameter("use_mmap", text) is False


@pytest.mark.parametrize("text", ["yes", "tRUE", "", "2", "on"])
def test_other_booleans_are_refused_in_the_words_of_the_contract(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameter("use_mmap", text)

    assert str(caught.value) == f"invalid bool value [{text}]"


@pytest.mark.parametrize("name", ["foo", "TOP_K", "", "numa", "num_gqa"])
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameter(name, "1")

    assert str(caught.value) == f"unknown parameter '{name}'"


@pytest.mark.parametrize("name", sorted(DEPRECATED))
def test_a_deprecated_parameter_takes_any_text_and_has_no_value(name: str) -> None:
    assert parse_parameter(name, "anything") is None


def test_stop_texts_add_up_and_the_last_scalar_counts() -> None:
    pairs = [("stop", "a b"), ("top_k", "1"), ("stop", ""), ("top_k", "2"), ("low_vram", "1")]

    assert parse_parameters(pairs) == {"stop": ["a b", ""], "top_k": 2}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize(
    ("raw", "value"), [(4, 4), (4.9, 4), (-4.9, -4), (1e30, 2**63 - 1), (-(10**400), -(2**63)), (math.inf, 2**63 - 1)]
)
def test_a_number_for_an_integer_is_cut_toward_zero_and_into_range(name: str, raw: float, value: int) -> None:
    checked = check_options({name: raw})

    assert checked == {name: value}
    assert type(checked[name]) is int


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(
    ("raw", "value"),
    [(1, 1.0), (0.7, 0.7), (0.699999988079071, 0.7), (1e300, 3.4028235e38), (10**400, 3.4028235e38)],
)
def test_a_number_for_a_float_becomes_single_precision(name: str, raw: float, value: float) -> None:
    checked = check_options({name: raw})

    assert checked == {name: value}
    assert type(checked[name]) is float


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        *[({"num_ctx": value}, 'option "num_ctx" must be of type integer') for value in ("1", True, [1], {}, math.nan)],
        *[({"top_p": value}, 'option "top_p" must be of type float32') for value in ("1", False, [], {}, math.nan)],
        *[({"use_mmap": value}, 'option "use_mmap" must be of type boolean') for value in (1, "true", [True])],
        *[({"stop": value}, 'option "stop" must be of type array') for value in ("x", 1, {"a": 1}, True)],
        *[({"stop": value}, 'option "stop" must be of an array of strings') for value in ([1], ["a", None])],
        *[({"grammar": value}, 'option "grammar" must be of type string') for value in (1, ["a"], True)],
        *[({"logit_bias": value}, 'option "logit_bias" must be of type object') for value in (1, [[1, 2]], "1=2")],
        *[({"logit_bias": {"1": v}}, 'option "logit_bias" must be of type float32') for v in ("1", None, False)],
    ],
)
def test_a_wrong_type_is_an_error_500_in_the_words_of_the_contract(raw: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        check_options(raw)

    assert (str(caught.value), caught.value.status) == (text, 500)


def test_unknown_and_null_options_are_left_out() -> None:
    raw = {"numa": True, "low_vram": "x", "top_k": None, "stop": None, "seed": 1, "use_mmap": False, "stops": 1}

    assert check_options(raw) == {"seed": 1, "use_mmap": False}


def test_a_text_is_kept_as_it_is() -> None:
    assert parse_parameter("grammar", ' root ::= "a"\n') == ' root ::= "a"\n'
    assert check_options({"grammar": ""}) == {"grammar": ""}


def test_a_list_of_stops_is_kept_as_it_is() -> None:
    assert check_options({"stop": ["a", ""]}) == {"stop": ["a", ""]}


@pytest.mark.parametrize("name", sorted(RANGES.keys() - {"logit_bias"}))
def test_a_number_past_its_range_is_refused_as_json_and_as_text(name: str) -> None:
    bounds = RANGES[name]
    below = int(bounds.low) - (0 if bounds.is_open else 1)
    wrong = [below, bounds.high * 2] if bounds.high < math.inf else [below]

    for value in wrong:
        found = f'option "{name}" must be {bounds}: found {value:g}'
        with pytest.raises(InvalidInput) as caught:
            check_options({name: value})
        assert (str(caught.value), caught.value.status) == (found, 400)
        with pytest.raises(InvalidInput):
            parse_parameter(name, str(int(value)))


@pytest.mark.parametrize("name", sorted(RANGES.keys() - {"logit_bias"}))
def test_the_ends_of_a_range_are_in_it(name: str) -> None:
    bounds = RANGES[name]
    ends = {bounds.low, bounds.high} - {math.inf} - ({bounds.low} if bounds.is_open else set())

    assert [check_options({name: end})[name] for end in ends] == list(ends)


def test_the_defaults_of_all_options_are_in_their_ranges() -> None:
    defaults = {name: getattr(Options(), name) for name in RANGES.keys() - {"logit_bias"}}
    set_ones = {name: value for name, value in defaults.items() if value is not None}

    assert check_options(set_ones) == set_ones


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"kv_type": "q3_9"}, "must be one of f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0: found 'q3_9'"),
        ({"samplers": ["top_k", "typical"]}, f"must be one of {', '.join(SAMPLERS)}, infill: found 'typical'"),
        ({"dry_sequence_breakers": ["x"] * (MAX_BREAKERS + 1)}, "takes 32 entries at most: found 33"),
        ({"logit_bias": dict.fromkeys(map(str, range(MAX_BIASES + 1)), 1)}, "takes 1024 entries at most: found 1025"),
        ({"logit_bias": {"1": 101}}, "must be between -100 and 100: found 101"),
        ({"logit_bias": {"hello": 1}}, 'must map token ids to numbers: found the key "hello"'),
        ({"logit_bias": {"-1": 1}}, 'must map token ids to numbers: found the key "-1"'),
        ({"logit_bias": {"1" * 11: 1}}, f'must map token ids to numbers: found the key "{"1" * 11}"'),
    ],
)
def test_what_an_option_cannot_be_is_refused_with_what_it_can_be(raw: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_options(raw)

    assert str(caught.value) == f'option "{next(iter(raw))}" {text}'


def test_biases_add_up_and_are_laid_over_each_other_as_a_whole() -> None:
    parsed = parse_parameters([("logit_bias", "15043=-5"), ("logit_bias", "7=0.5"), ("logit_bias", "7=1")])

    assert parsed == {"logit_bias": {"15043": -5.0, "7": 1.0}}
    assert merge(parsed).logit_bias == ((15043, -5.0), (7, 1.0))
    assert merge(parsed, {"logit_bias": {"3": -100}}).logit_bias == ((3, -100.0),)
    assert merge(parsed, {"logit_bias": {}}).logit_bias == ()


@pytest.mark.parametrize("text", ["", "7", "=1", "7=", "a=1", "7=x", "7 1", "7==1", "٣=1"])
def test_other_biases_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"invalid (bias|float value)"):
        parse_parameter("logit_bias", text)


def test_a_model_with_every_kind_of_parameter_prints_what_makes_it_again() -> None:
    made = {
        "logit_bias": {"15043": -5.0, "7": 0.5},
        "samplers": ["top_k", "temperature"],
        "mirostat": 2,
        "kv_type": "q8_0",
        "flash_attention": True,
        "xtc_threshold": 0.2,
    }

    lines = [line.split(maxsplit=1) for line in format_parameters(made).split("\n")]

    assert parse_parameters((name, text.strip('"')) for name, text in lines) == made


def test_nothing_merged_is_the_built_in_defaults() -> None:
    assert merge() == merge({}, {"top_k": None, "nope": 1}) == Options()


def test_a_later_layer_wins_and_its_null_leaves_the_earlier_value() -> None:
    model = {"temperature": 0.7, "top_k": 5, "stop": ["a", "b"], "num_ctx": 2048.0}
    request = {"temperature": 0, "top_k": None, "stop": ["c"]}

    merged = merge(model, request)

    assert merged == Options(temperature=0.0, top_k=5, stop=("c",), num_ctx=2048)


def test_a_wrong_type_in_any_layer_is_an_error() -> None:
    with pytest.raises(OptionError):
        merge({"top_k": "many"}, {})


def test_parameters_are_shown_in_columns_one_line_for_each_value() -> None:
    params = {"num_ctx": 1048576, "temperature": 0.7, "stop": ["<|im_end|>", 'a\n"b"'], "use_mmap": False, "top_p": 1.0}

    assert format_parameters(params).split("\n") == [
        "num_ctx                        1048576",
        "temperature                    0.7",
        'stop                           "<|im_end|>"',
        r'stop                           "a\n\"b\""',
        "use_mmap                       false",
        "top_p                          1",
    ]


def test_no_parameters_are_shown_as_nothing() -> None:
    assert format_parameters({"top_k": None, "stop": []}) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4096.0, "4096"),
        (-3, "-3"),
        (0.00001, "1e-05"),
        (2e300, "2e+300"),
        (0.1, "0.1"),
        ("a b", "a b"),
        (True, "true"),
        ({"é": 1}, '{"é": 1}'),
    ],
)
def test_whole_numbers_are_plain_and_floats_shortest(value: Any, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", '""'),
        ("a b", '"a b"'),
        ('\a\b\f\n\r\t\v\\"', r'"\a\b\f\n\r\t\v\\\""'),
        ("\x00\x1f\x7f", r'"\x00\x1f\x7f"'),
        ("\x80\xa0\u200b\u3000\ufeff", r'"\u0080\u00a0\u200b\u3000\ufeff"'),
        ("\U000e0001", r'"\U000e0001"'),
        ("é你👋'", '"é你👋\'"'),
    ],
)
def test_text_is_quoted_as_go_quotes_it(text: str, quoted: str) -> None:
    assert go_quote(text) == quoted


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_every_single_precision_number_survives_its_shortest_decimal(value: float) -> None:
    assert struct.pack("<f", single(value)) == struct.pack("<f", value)
    assert len(repr(single(value))) <= len(repr(value))


@given(st.floats(min_value=-1000, max_value=1000).map(lambda value: round(value, 3)))
def test_a_decimal_of_six_digits_stays_as_it_was_typed(value: float) -> None:
    assert parse_parameter("temperature", f"{value:.3f}") == value
