"""Settings from environment variables: the contract's tables of values, hosts and cases."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.settings import FOREVER, Host, Settings


def settings(**env: str) -> Settings:
    return Settings.from_env(env)


def test_without_variables_everything_has_its_default(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    found = settings()

    assert found.host.url == "http://127.0.0.1:11434"
    assert found.models == found.home / "models"
    assert (found.keep_alive, found.load_timeout, found.max_queue) == (300, 300, 512)
    assert (found.max_loaded_models, found.context_length, found.kv_cache_type) == (0, 0, "f16")
    assert (found.flash_attention, found.noprune, found.nohistory) == (None, False, False)
    assert (found.autostart, found.catalogue, found.origins) == (True, None, ())
    assert (found.log_level, found.editor, found.unheeded) == (logging.INFO, "vi", ())


@pytest.mark.parametrize("value", ["", "  ", '""', "''", ' "" ', "' '"])
def test_an_empty_value_is_no_value(value):
    assert settings(OLLAMA_MAX_QUEUE=value, OLLAMA_KEEP_ALIVE=value).max_queue == 512
    assert settings(OLLAMA_NOPRUNE=value).noprune is False
    assert settings(OLLAMA_HOST=value).host.url == "http://127.0.0.1:11434"
    assert settings(OLLAMAPY_CATALOGUE=value).catalogue is None


@pytest.mark.parametrize("value", ["7", " 7 ", '"7"', "'7'", ' "7" ', "\"'7'\""])
def test_white_space_and_quotes_around_a_value_are_cut(value):
    assert settings(OLLAMA_MAX_QUEUE=value).max_queue == 7


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        *[(text, True) for text in ("1", "t", "T", "TRUE", "true", "True", "maybe", "yes", "no", "2")],
        *[(text, False) for text in ("0", "f", "F", "FALSE", "false", "False")],
    ],
)
def test_a_switch_is_on_unless_it_says_off(value, answer):
    found = settings(OLLAMA_NOPRUNE=value, OLLAMA_FLASH_ATTENTION=value, OLLAMAPY_NO_AUTOSTART=value)

    assert found.noprune is answer
    assert found.flash_attention is answer
    assert found.autostart is not answer


@pytest.mark.parametrize("value", ["-1", "1e3", "abc", "1.5", "+1", "٣", "18446744073709551616", "9" * 5000])
def test_what_is_no_count_is_the_default_with_a_warning(value, caplog):
    assert settings(OLLAMA_MAX_QUEUE=value).max_queue == 512
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "OLLAMA_MAX_QUEUE" in caplog.text


@pytest.mark.parametrize(("value", "count"), [("0", 0), ("007", 7), ("18446744073709551615", 2**64 - 1)])
def test_a_count_is_decimal_digits(value, count, caplog):
    assert settings(OLLAMA_MAX_QUEUE=value).max_queue == count
    assert caplog.records == []


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("300", 300), ("5m", 300), ("-1", FOREVER), ("-1s", FOREVER), ("0", 0), ("abc", 300), ("1h30m", 5400)],
        *[("0s", 0), ("1.5", 300), ("5 m", 300), ("9" * 5000, 300), ("+60", 60)],
    ],
)
def test_keep_alive_is_a_duration_or_seconds_and_silently_the_default(value, seconds, caplog):
    assert settings(OLLAMA_KEEP_ALIVE=value).keep_alive == seconds
    assert caplog.records == []


@pytest.mark.parametrize(("value", "seconds"), [("0", FOREVER), ("-5", FOREVER), ("2m", 120), ("x", 300)])
def test_a_load_timeout_of_zero_or_less_is_no_limit(value, seconds):
    assert settings(OLLAMA_LOAD_TIMEOUT=value).load_timeout == seconds


@pytest.mark.parametrize(
    ("value", "level"),
    [
        *[("1", logging.DEBUG), ("true", logging.DEBUG), ("yes", logging.DEBUG), ("2", 5)],
        *[("0", logging.INFO), ("false", logging.INFO), ("", logging.INFO)],
        *[("-1", logging.WARNING), ("-2", logging.ERROR), ("3", 1), ("999", 1)],
    ],
)
def test_the_debug_variable_sets_the_level_of_the_log(value, level):
    assert settings(OLLAMA_DEBUG=value).log_level == level


def test_origins_are_split_at_commas_and_trimmed():
    assert settings(OLLAMA_ORIGINS=" http://a , ,*b,").origins == ("http://a", "*b")


def test_paths_may_begin_at_home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")

    found = settings(OLLAMA_MODELS="~/models", OLLAMAPY_HOME="~/mine", OLLAMAPY_CATALOGUE="~/c.yaml")

    assert found.models == Path("/home/somebody/models")
    assert found.home == Path("/home/somebody/mine")
    assert found.catalogue == Path("/home/somebody/c.yaml")
    assert found.log_file == Path("/home/somebody/mine/logs/server.log")


def test_the_home_of_nobody_is_a_path_like_any_other(caplog):
    assert settings(OLLAMA_MODELS="~no-such-user/x").models == Path("~no-such-user/x")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_models_lie_below_home_unless_ollama_models_says_otherwise():
    assert settings(OLLAMAPY_HOME="/x").models == Path("/x/models")
    assert settings(OLLAMAPY_HOME="/x", OLLAMA_MODELS="/y").models == Path("/y")


@pytest.mark.parametrize(
    ("env", "editor"),
    [
        ({"OLLAMA_EDITOR": "a", "VISUAL": "b", "EDITOR": "c"}, "a"),
        ({"VISUAL": "b", "EDITOR": "c"}, "b"),
        ({"EDITOR": "c"}, "c"),
        ({}, "vi"),
    ],
)
def test_the_editor_is_the_first_that_is_named(env, editor):
    assert settings(**env).editor == editor


def test_the_log_is_told_what_the_variables_come_to():
    """By value and not by text: what was set beside them may be a secret."""
    found = settings(OLLAMA_KEEP_ALIVE="90", OLLAMA_MAX_QUEUE="x", OLLAMA_HOST="h", OLLAMA_API_KEY="s3cret").in_force

    assert found["OLLAMA_KEEP_ALIVE"] == "1m30s"
    assert (found["OLLAMA_MAX_QUEUE"], found["OLLAMA_HOST"]) == ("512", "http://h:11434")
    assert settings(OLLAMA_KEEP_ALIVE="-1").in_force["OLLAMA_KEEP_ALIVE"] == "forever"
    assert "s3cret" not in str(found)


def test_what_is_set_and_not_looked_at_is_named():
    assert settings(OLLAMA_SCHED_SPREAD="1", OLLAMA_VULKAN="", LLAMA_ARG_FIT="off", OLLAMA_TMPDIR="/x").unheeded == (
        "OLLAMA_SCHED_SPREAD",
        "LLAMA_ARG_FIT",
    )


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ('""', "http://127.0.0.1:11434"),
        ("''", "http://127.0.0.1:11434"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        (":1234", "http://:1234"),
        ("1.2.3.4:1234", "http://1.2.3.4:1234"),
        ("example.com", "http://example.com:11434"),
        ("example.com:1234", "http://example.com:1234"),
        (":0", "http://:0"),
        (":66000", "http://:11434"),
        (":-1", "http://:11434"),
        (":abc", "http://:11434"),
        (":" + "9" * 5000, "http://:11434"),
        (":٣", "http://:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("::1", "http://[::1]:11434"),
        ("[::]", "http://[::]:11434"),
        ("[::1]:1337", "http://[::1]:1337"),
        (" 1.2.3.4 ", "http://1.2.3.4:11434"),
        ('"1.2.3.4"', "http://1.2.3.4:11434"),
        ("'1.2.3.4'", "http://1.2.3.4:11434"),
        (' " 1.2.3.4 " ', "http://1.2.3.4:11434"),
        ("http://1.2.3.4", "http://1.2.3.4:80"),
        ("http://1.2.3.4:4321", "http://1.2.3.4:4321"),
        ("https://1.2.3.4", "https://1.2.3.4:443"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
        ("https://example.com/a/b/", "https://example.com:443/a/b"),
        ("example.com/ollama", "http://example.com:11434/ollama"),
        ("ollama.com", "https://ollama.com:443"),
        ("http://ollama.com", "http://ollama.com:80"),
        ("unix://h", "unix://h:11434"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
    ],
)
def test_a_host_is_read_as_the_contract_says(value, url):
    assert Host.parse(value).url == url


@pytest.mark.parametrize("value", [":66000", ":-1", "h:abc", "h:"])
def test_a_bad_port_is_warned_about(value, caplog):
    assert Host.parse(value).port == 11434
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("[::]:1", "http://[::1]:1"),
        (":1234", "http://localhost:1234"),
        ("1.2.3.4", "http://1.2.3.4:11434"),
        ("https://example.com/ollama", "https://example.com:443/ollama"),
    ],
)
def test_a_client_connects_where_an_unspecified_address_can_be_reached(value, url):
    assert Host.parse(value).client_url == url


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        *[(text, True) for text in ("", "127.0.0.1", "127.9.9.9", "localhost", "[::1]", "0.0.0.0", "[::]", ":1234")],
        *[(text, False) for text in ("1.2.3.4", "example.com", "192.168.1.1", "ollama.com", "localhost.example")],
    ],
)
def test_a_loopback_host_is_one_that_a_daemon_here_can_serve(value, answer):
    assert Host.parse(value).is_loopback is answer


@given(st.text(max_size=40) | st.text(alphabet="[]:/.-0123456789abht ", max_size=30))
def test_no_text_breaks_the_reading_of_a_host(text):
    host = Host.parse(text)

    assert 0 <= host.port <= 65535
    assert host.url
    assert host.client_url


@given(st.dictionaries(st.sampled_from(["OLLAMA_DEBUG", "OLLAMA_KEEP_ALIVE", "OLLAMA_MAX_QUEUE"]), st.text()))
def test_no_value_breaks_the_reading_of_settings(env):
    assert Settings.from_env(env).max_queue >= 0


def test_an_unknown_type_of_cache_is_a_warning_and_f16(caplog: pytest.LogCaptureFixture) -> None:
    assert settings(OLLAMA_KV_CACHE_TYPE="q5_1").kv_cache_type == "q5_1"
    assert settings(OLLAMA_KV_CACHE_TYPE="q3_9").kv_cache_type == "f16"
    assert "name=OLLAMA_KV_CACHE_TYPE value='q3_9' default=f16" in caplog.text


def test_a_limit_of_pulls_is_bytes_a_second_and_a_bad_one_is_warned_of(caplog):
    assert settings().limit_rate == 0
    assert settings(OLLAMAPY_LIMIT_RATE="5MB").limit_rate == 5_000_000
    assert caplog.records == []

    assert settings(OLLAMAPY_LIMIT_RATE="fast").limit_rate == 0
    assert "invalid rate 'fast', no limit name=OLLAMAPY_LIMIT_RATE" in caplog.text
