"""Durations, bytes, counts and times in the words of Ollama's API and CLI."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy import units
from ollamapy.errors import InvalidInput

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("0", 0), ("-0", 0), ("5m", 300), ("1h30m", 5400), ("-1m", -60), ("+5s", 5), ("1.5h", 5400), (".5s", 0.5)],
        *[("1.s", 1), ("300ms", 0.3), ("2us", 2e-6), ("2µs", 2e-6), ("2μs", 2e-6), ("7ns", 7e-9)],
        *[("1h1m1s1ms", 3661.001), ("1ms1s", 1.001), ("-1s", -1), ("0s", 0), ("2562047h", 9223369200)],
    ],
)
def test_a_duration_is_read_as_go_reads_it(text, seconds):
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("s", 'time: invalid duration "s"'),
        ("1h ", 'time: unknown unit "h " in duration "1h "'),
        (" 1h", 'time: invalid duration " 1h"'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("٣s", 'time: invalid duration "٣s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("9" * 400 + "s", f'time: invalid duration "{"9" * 400}s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1h30", 'time: missing unit in duration "1h30"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("5 m", 'time: unknown unit " m" in duration "5 m"'),
        ("1e3s", 'time: unknown unit "e" in duration "1e3s"'),
        ("1h-1m", 'time: unknown unit "h-" in duration "1h-1m"'),
    ],
)
def test_a_bad_duration_is_refused_in_the_words_of_go(text, message):
    with pytest.raises(InvalidInput) as caught:
        units.parse_duration(text)

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        *[(0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (130_079, "130.079µs"), (45_200_000, "45.2ms"), (10**9, "1s")],
        *[(1_500_000_000, "1.5s"), (62_500_000_000, "1m2.5s"), (3_600_000_000_000, "1h0m0s"), (-(10**9), "-1s")],
        *[(999_999_999, "999.999999ms"), (90_061_000_000_001, "25h1m1.000000001s")],
    ],
)
def test_a_duration_is_printed_as_go_prints_it(nanoseconds, text):
    assert units.format_duration(nanoseconds) == text


@given(st.integers(-(2**53), 2**53))
def test_a_printed_duration_reads_back(nanoseconds):
    assert units.parse_duration(units.format_duration(nanoseconds)) == pytest.approx(nanoseconds / 1e9, abs=1e-9)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[(None, None), (42, 42), (42.5, 42.5), (0, 0), ("0", 0), ("5m", 300), ("1h30m", 5400)],
        *[(-1, float("inf")), (-0.5, float("inf")), ("-1m", float("inf")), ("-1s", float("inf"))],
        *[(10**400, float("inf")), (1e300, float("inf"))],
    ],
)
def test_keep_alive_takes_seconds_or_a_duration_and_negative_is_forever(value, seconds):
    assert units.parse_keep_alive(value) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
        ("5", 'time: missing unit in duration "5"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("", 'time: invalid duration ""'),
    ],
)
def test_a_bad_keep_alive_is_refused(value, message):
    with pytest.raises(InvalidInput) as caught:
        units.parse_keep_alive(value)

    assert (caught.value.message, caught.value.status) == (message, 400)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *[(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (1024, "1.0 KB"), (1500, "1.5 KB"), (9999, "10.0 KB")],
        *[(10500, "10 KB"), (999_999, "999 KB"), (10**6, "1 MB"), (98_362_432, "98 MB"), (4_661_224_676, "4.7 GB")],
        *[(1_999_999_999_999, "2.0 TB"), (5 * 10**15, "5000 TB")],
    ],
)
def test_bytes_are_shown_in_decimal_units(count, text):
    assert units.format_bytes(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *[(0, "0"), (999, "999"), (1000, "1K"), (12_345, "12K"), (12_600, "13K"), (30 * 10**6, "30M")],
        *[(133_700_000, "133.70M"), (134_515_008, "134.52M"), (125_000_100, "125.00M"), (500_500_000, "500.50M")],
        *[(7 * 10**9, "7B"), (7_241_732_096, "7.2B"), (8_030_261_248, "8.0B"), (2_800_000_000, "2.8B")],
    ],
)
def test_parameters_are_counted_as_model_cards_do(count, text):
    """Ollama drops the decimals of whole billions alone: Llama 3's 8,030,261,248 are `8.0B`."""
    assert units.format_count(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0, "Less than a second"), (0.9, "Less than a second"), (1, "1 second"), (1.9, "1 second")],
        *[(2, "2 seconds"), (59.9, "59 seconds"), (60, "About a minute"), (119, "About a minute"), (120, "2 minutes")],
        *[(3599, "59 minutes"), (3600, "About an hour"), (89 * 60, "About an hour"), (91 * 60, "2 hours")],
        *[(47.4 * 3600, "47 hours"), (47.6 * 3600, "2 days"), (14 * 86400, "2 weeks"), (60 * 86400, "2 months")],
        *[(730 * 86400, "2 years"), (3650 * 86400, "10 years")],
    ],
)
def test_times_are_told_from_now_in_both_directions(seconds, text):
    delta = timedelta(seconds=seconds)

    assert units.format_relative(NOW - delta, NOW) == f"{text} ago"
    assert seconds == 0 or units.format_relative(NOW + delta, NOW) == f"{text} from now"


def test_centuries_ahead_are_forever():
    assert units.format_relative(NOW + timedelta(days=292 * 365), NOW) == "Forever"
    assert units.format_relative(NOW - timedelta(days=292 * 365), NOW) == "292 years ago"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1785546123.12, "2026-08-01T01:02:03.12Z"),
        (1785546123.000001, "2026-08-01T01:02:03.000001Z"),
    ],
)
def test_created_at_is_utc_without_useless_zeros(seconds, text):
    assert units.format_utc(seconds) == text


def test_modified_at_has_the_offset_of_the_machine(monkeypatch):
    monkeypatch.setenv("TZ", "UTC-5:30")
    time.tzset()
    try:
        text = units.format_local(1785546123.12)
    finally:
        monkeypatch.undo()
        time.tzset()

    assert text == "2026-08-01T06:32:03.12+05:30"


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *[("0", 0), ("1000", 1000), ("5MB", 5_000_000), ("5 MB", 5_000_000), ("500k", 500_000), ("1.5m", 1_500_000)],
        *[("1MiB", 1 << 20), ("2Ki", 2048), ("1gb/s", 10**9), (" 7b ", 7), ("0.5", 0)],
    ],
)
def test_a_rate_is_bytes_a_second(text, rate):
    assert units.parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "-1", "5 M B", "1e3", "5MBit", "٣", "9" * 5000, "1.2.3M", "5tb"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(InvalidInput, match="invalid rate"):
        units.parse_rate(text)
