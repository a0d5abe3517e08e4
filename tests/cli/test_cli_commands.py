"""The commands against the fake daemon. Cases of the contract's list carry their numbers."""

import hashlib
import json
from pathlib import Path

import pytest
from fakes.command_line import Cli, Result
from fakes.fake_daemon import DETAILS, DIGEST, FakeDaemon, model

NOT_FOUND_UPSTREAM = "Error: pull model manifest: file does not exist\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("show",), "accepts 1 arg(s), received 0"),  # 1
        (("rm",), "requires at least 1 arg(s), only received 0"),  # 2
        (("frob",), 'unknown command "frob" for "ollamapy"'),  # 3
        (("signin",), 'unknown command "signin" for "ollamapy"'),
        (("serve", "x"), "accepts 0 arg(s), received 1"),
        (("cp", "a"), "accepts 2 arg(s), received 1"),
        (("run", "m", "--keepalive", "5"), 'time: missing unit in duration "5"'),  # 15
        (("run", "m", "--keepalive=-1"), 'time: missing unit in duration "-1"'),
        (
            ("run", "m", "--think=x"),
            'invalid value for --think: "x" (must be true, false, high, medium, low, or max)',
        ),
        (
            ("run", "m", "--dimensions", "x"),
            'invalid argument "x" for "--dimensions" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ("run", "m", "--truncate=x"),
            'invalid argument "x" for "--truncate" flag: strconv.ParseBool: parsing "x": invalid syntax',
        ),
        (("run", "m", "--format", "bad"), 'invalid value for --format: it must be "json" or a JSON schema'),
        (
            ("show", "m", "--system", "--template"),  # 18
            "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified",
        ),
        (("create", "x", "-f", "missing"), "specified Modelfile wasn't found"),  # 20
        (("create", "bad name"), "invalid model name: bad name"),  # 21
        (("create", "x", "--experimental"), "create --experimental is not supported"),
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_code_1(offline_cli: Cli, words: tuple[str, ...], text: str) -> None:
    result = offline_cli(*words)

    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[0] == f"Error: {text}"


def test_04_without_a_server_every_command_says_how_to_get_one(offline_cli: Cli) -> None:
    result = offline_cli("list")

    assert result.code == 1
    assert result.err.startswith(
        "Error: could not connect to ollama server, run 'ollamapy serve' to start it\nhint: tried http://127.0.0.1:1: "
    )


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("show", "nope"), "model 'nope' not found"),  # 5
        (("rm", "nope"), "model 'nope' not found"),  # 8
        (("stop", "nope"), 'couldn\'t find model "nope" to stop'),  # 10
        (("cp", "nope", "b"), 'model "nope" not found'),  # 19
    ],
)
def test_an_unknown_model_is_one_line(cli: Cli, words: tuple[str, ...], text: str) -> None:
    assert cli(*words) == Result(1, "", f"Error: {text}\n")


def test_06_a_pull_of_nothing_fails_with_the_stream_s_text(cli: Cli) -> None:
    assert cli("pull", "nope") == Result(1, "", "pulling manifest\n" + NOT_FOUND_UPSTREAM)


def test_07_run_pulls_a_model_that_is_missing(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("run", "nope", "hi") == Result(1, "", "pulling manifest\n" + NOT_FOUND_UPSTREAM)
    assert cli("run", "new", "hi", "--insecure") == Result(
        0, "You said: hi\n\n", f"pulling manifest\npulling {DIGEST[:12]}\nsuccess\n"
    )
    assert daemon.requests("/api/pull")[-1] == {"model": "new", "insecure": True}


def test_a_pull_says_nothing_on_stdout(cli: Cli) -> None:
    assert cli("pull", "new") == Result(0, "", f"pulling manifest\npulling {DIGEST[:12]}\nsuccess\n")


def test_09_the_first_model_that_cannot_be_removed_ends_it(cli: Cli) -> None:
    assert cli("rm", "m", "nope", "thinker") == Result(1, "deleted 'm'\n", "Error: model 'nope' not found\n")
    assert "thinker" in cli("list").out


def test_a_model_that_cannot_be_stopped_is_deleted_with_a_warning(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answer("/api/generate", status=500, body={"error": "busy"})

    assert cli("rm", "m") == Result(0, "deleted 'm'\n", "Warning: unable to stop model 'm'\n")


def test_stop_asks_for_the_unload_and_prints_nothing(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("stop", "m") == Result(0, "", "")
    assert daemon.requests("/api/generate") == [{"model": "m", "keep_alive": 0}]


def test_a_copy_is_told(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("cp", "m", "n") == Result(0, "copied 'm' to 'n'\n", "")
    assert daemon.requests("/api/copy") == [{"source": "m", "destination": "n"}]


def test_22_list_filters_by_the_beginning_of_the_name_in_any_case(cli: Cli) -> None:
    rows = cli("list", "THINK", "ignored").out.splitlines()

    assert [row.split()[0] for row in rows] == ["NAME", "thinker:latest"]
    assert rows[1].split()[1:4] == [DIGEST[:12], "2.0", "GB"]


def test_ls_is_list(cli: Cli) -> None:
    assert cli("ls") == cli("list")


def test_lists_print_json_when_asked(cli: Cli, daemon: FakeDaemon) -> None:
    names = [entry["name"] for entry in json.loads(cli("list", "t", "--json").out)["models"]]

    assert names == ["thinker:latest"]
    assert json.loads(cli("ps", "--json").out) == {"models": []}
    assert json.loads(cli("show", "m", "--json").out)["details"] == DETAILS


def test_16_and_17_ps_shows_shares_and_forever(cli: Cli, daemon: FakeDaemon) -> None:
    loaded = {"model": "a:latest", "size": 1000, "digest": DIGEST, "details": DETAILS, "context_length": 4096}
    first = loaded | {"name": "a:latest", "size_vram": 335, "expires_at": "2318-08-01T01:02:03.1+02:00"}
    second = loaded | {"name": "B:latest", "size_vram": 0, "expires_at": "2020-01-01T00:00:00Z"}
    daemon.answer("/api/ps", body={"models": [first, second]})

    assert cli("ps").out == (
        "NAME        ID              SIZE    PROCESSOR          CONTEXT    UNTIL\n"
        "a:latest    a80c4f17acd5    1 KB    67%/33% CPU/GPU    4096       Forever\n"
        "B:latest    a80c4f17acd5    1 KB    100% CPU           4096       Stopping...\n"
    )
    assert "B:latest" not in cli("ps", "b").out


def test_show_prints_the_page_or_one_field(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answer("/api/show", body=model(license="MIT", system="Be brief."))

    assert cli("show", "m").out.startswith("  Model\n    architecture      llama\n")
    assert cli("show", "m", "--license") == Result(0, "MIT\n", "")
    assert cli("show", "m", "--system") == Result(0, "Be brief.", "")
    assert cli("show", "m", "--parameters") == Result(0, "\n", "")
    assert cli("show", "-v", "m").out.count("Metadata") == 1
    assert [asked.get("verbose", False) for asked in daemon.requests("/api/show")] == [False] * 4 + [True]


def test_version_is_the_servers_and_warns_of_another_one(cli: Cli, daemon: FakeDaemon) -> None:
    assert cli("--version") == Result(0, "ollama version is 0.30.0\n", "")

    daemon.answer("/api/version", body={"version": "0.29.1"})
    assert cli("-v").out == "ollama version is 0.29.1\nWarning: client version is 0.30.0\n"


def test_version_needs_no_server(offline_cli: Cli) -> None:
    assert offline_cli("--version") == Result(
        0,
        "Warning: could not connect to a running Ollama instance\nWarning: client version is 0.30.0\n",
        "",
    )


def test_a_hint_of_the_server_is_a_second_line(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answer("/api/show", status=500, body={"error": "broken", "hint": "mend it"})

    assert cli("show", "m") == Result(1, "", "Error: broken\nhint: mend it\n")


def test_the_server_hears_ollamas_name_first(cli: Cli, daemon: FakeDaemon) -> None:
    cli("list")

    assert all(asked["agent"].startswith("ollama/0.30.0 (") for asked in daemon.log())


class TestRun:
    def test_11_stdin_and_arguments_are_one_prompt(self, cli: Cli, daemon: FakeDaemon) -> None:
        assert cli("run", "m", "sum", "up", stdin="text\n") == Result(0, "You said: text\n sum up\n\n", "")
        assert daemon.requests("/api/generate") == [{"model": "m", "prompt": "text\n sum up"}]

    def test_12_without_a_prompt_the_model_is_only_loaded(self, cli: Cli, daemon: FakeDaemon) -> None:
        assert cli("run", "m") == Result(0, "", "")
        assert daemon.requests("/api/generate") == [{"model": "m"}]

    def test_13_a_value_for_think_needs_its_equals_sign(self, cli: Cli, daemon: FakeDaemon) -> None:
        cli("run", "m", "--think", "high")
        cli("run", "m", "--think=high", "why")
        cli("run", "m", "--think=false", "why")

        asked = [(request["prompt"], request["think"]) for request in daemon.requests("/api/generate")]
        assert asked == [("high", True), ("why", "high"), ("why", False)]

    def test_a_model_that_can_think_does(self, cli: Cli, daemon: FakeDaemon) -> None:
        cli("run", "thinker", "why")

        assert daemon.requests("/api/generate") == [{"model": "thinker", "prompt": "why", "think": True}]

    def test_thinking_is_shown_before_the_answer_or_hidden(self, cli: Cli, daemon: FakeDaemon) -> None:
        chunk = {"model": "m", "created_at": "", "done": False, "response": ""}
        lines = [chunk | {"thinking": "Hm"}, chunk | {"response": "Yes"}, chunk | {"done": True}]
        daemon.answer("/api/generate", lines=lines)

        assert cli("run", "thinker", "why").out == "Thinking...\nHm\n...done thinking.\n\nYes\n\n"
        assert cli("run", "thinker", "why", "--hidethinking").out == "Yes\n\n"

    def test_flags_pass_through(self, cli: Cli, daemon: FakeDaemon) -> None:
        cli("run", "m", "x", "--format", "json", "--keepalive=-1m")
        cli("run", "m", "x", "--format", '{"type":"object"}', "--keepalive", "0")

        first, second = daemon.requests("/api/generate")
        assert (first["format"], first["keep_alive"]) == ("json", "-1m")
        assert (second["format"], second["keep_alive"]) == ({"type": "object"}, "0")

    def test_timings_go_to_stderr(self, cli: Cli) -> None:
        result = cli("run", "m", "--verbose", "x")

        assert result.out == "You said: x\n\n"
        assert result.err.startswith("total duration:       1.234567891s\nload duration:        12.5ms\n")

    def test_an_embedding_model_prints_a_vector(self, cli: Cli, daemon: FakeDaemon) -> None:
        assert cli("run", "embed-m", "some", "text", "--dimensions", "2") == Result(0, "[0.6,-0.8]\n", "")
        assert cli("run", "embed-m", "--truncate=false", stdin="long").code == 0
        assert daemon.requests("/api/embed") == [
            {"model": "embed-m", "input": "some text", "dimensions": 2},
            {"model": "embed-m", "input": "long", "truncate": False},
        ]

    def test_14_an_embedding_model_needs_a_text(self, cli: Cli) -> None:
        assert cli("run", "embed-m") == Result(
            1,
            "",
            'Error: embedding models require input text. Usage: ollamapy run embed-m "your text here"\n',
        )

    def test_26_a_refusal_to_embed_is_shown(self, cli: Cli, daemon: FakeDaemon) -> None:
        daemon.answer("/api/embed", status=400, body={"error": "the input length exceeds the context length"})

        assert cli("run", "embed-m", "--truncate=false", "x") == Result(
            1, "", "Error: the input length exceeds the context length\n"
        )

    def test_an_error_before_the_answer_names_its_status(self, cli: Cli, daemon: FakeDaemon) -> None:
        daemon.answer("/api/generate", status=400, body={"error": '"m" does not support thinking'})

        assert cli("run", "m", "x") == Result(1, "", 'Error: 400 Bad Request: "m" does not support thinking\n')

    def test_an_error_within_the_answer_is_on_a_line_of_its_own(self, cli: Cli, daemon: FakeDaemon) -> None:
        chunk = {"model": "m", "created_at": "", "done": False, "response": "Half"}
        daemon.answer("/api/generate", lines=[chunk, {"error": "the model runner has stopped"}])

        assert cli("run", "m", "x") == Result(1, "Half\n", "Error: the model runner has stopped\n")

    def test_a_dropped_connection_is_an_error(self, cli: Cli, daemon: FakeDaemon) -> None:
        chunk = {"model": "m", "created_at": "", "done": False, "response": "Half"}
        daemon.answer("/api/generate", lines=[chunk], then="cut")

        result = cli("run", "m", "x")
        assert (result.code, result.out) == (1, "Half\n")
        assert "was lost before the answer was complete" in result.err

    def test_text_that_is_no_utf8_is_an_error_and_no_traceback(self, cli: Cli) -> None:
        assert cli("run", "m", "a\udcff") == Result(1, "", "Error: the text is not valid UTF-8\n")


class TestCreate:
    def test_a_modelfile_becomes_a_request(self, cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
        file = tmp_path / "Expert"
        file.write_text(
            'FROM m\nSYSTEM """Be\nbrief."""\nPARAMETER temperature 0.7\nPARAMETER low_vram 1\nMESSAGE user hi\n'
        )

        assert cli("create", "expert", "-f", str(file), "-q", "q4_K_M") == Result(
            0,
            "warning: parameter low_vram is deprecated\n",
            "gathering model components\nwriting manifest\nsuccess\n",
        )
        assert daemon.requests("/api/create") == [
            {
                "model": "expert",
                "from": "m",
                "system": "Be\nbrief.",
                "parameters": {"temperature": 0.7},
                "messages": [{"role": "user", "content": "hi"}],
                "quantize": "q4_K_M",
            }
        ]

    def test_files_are_uploaded_once(self, cli: Cli, daemon: FakeDaemon, tmp_path: Path) -> None:
        weights = tmp_path / "m.gguf"
        weights.write_bytes(b"GGUF" + bytes(3_000_000))
        digest = "sha256:" + hashlib.sha256(weights.read_bytes()).hexdigest()
        (tmp_path / "Modelfile").write_text("FROM ./m.gguf\n")

        for name in ("a", "b"):
            result = cli("create", name, "-f", str(tmp_path / "Modelfile"))
            assert result.err.splitlines()[:2] == ["gathering model components", f"copying file {digest}"]
        assert [asked["method"] for asked in daemon.log() if "blobs" in asked["path"]] == ["HEAD", "POST", "HEAD"]
        assert daemon.requests("/api/create")[0] == {"model": "a", "files": {"m.gguf": digest}}

    def test_without_a_modelfile_the_folder_is_the_model(
        self, cli: Cli, daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "x.gguf").write_bytes(b"GGUF\x00\x00\x00\x00")
        monkeypatch.chdir(tmp_path)

        assert cli("create", "a").code == 0
        assert list(daemon.requests("/api/create")[0]["files"]) == ["x.gguf"]

    @pytest.mark.parametrize(
        ("modelfile", "text"),
        [
            ("FROM a\nFOO b\n", "(line 2): command must be one of"),
            ("SYSTEM x\n", "no FROM line"),
            ("FROM a\nPARAMETER top_k x\n", "invalid int value [x]"),
            ("FROM a\nADAPTER ./missing\n", "stat "),
        ],
    )
    def test_nothing_is_sent_for_a_modelfile_with_a_mistake(
        self, cli: Cli, daemon: FakeDaemon, tmp_path: Path, modelfile: str, text: str
    ) -> None:
        (tmp_path / "Modelfile").write_text(modelfile)
        result = cli("create", "a", "-f", str(tmp_path / "Modelfile"))

        assert result.code == 1
        assert result.err.startswith(f"Error: {text}")
        assert daemon.log() == []

    def test_a_draft_level_needs_a_draft(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "Modelfile").write_text("FROM a\n")

        assert cli("create", "a", "-f", str(tmp_path / "Modelfile"), "--draft-quantize", "q8_0") == Result(
            1, "", "Error: --draft-quantize requires a DRAFT model\n"
        )


class TestHelp:
    def test_no_command_prints_the_help(self, offline_cli: Cli) -> None:
        assert offline_cli() == offline_cli("--help") == offline_cli("help")
        assert "Large language model runner" in offline_cli("-h").out

    @pytest.mark.parametrize(
        ("command", "text", "variables"),
        [
            ("serve", "Start Ollama", ["OLLAMA_DEBUG", "OLLAMA_KV_CACHE_TYPE", "LLAMA_ARG_FIT_TARGET"]),
            ("run", "Run a model", ["OLLAMA_EDITOR", "OLLAMA_HOST", "OLLAMA_NOHISTORY"]),
            ("create", "Create a model", ["OLLAMA_HOST"]),
            ("show", "Show information for a model", ["OLLAMA_HOST"]),
            ("stop", "Stop a running model", ["OLLAMA_HOST"]),
            ("pull", "Pull a model from a registry", ["OLLAMA_HOST"]),
            ("list", "List models", ["OLLAMA_HOST"]),
            ("ps", "List running models", ["OLLAMA_HOST"]),
            ("cp", "Copy a model", ["OLLAMA_HOST"]),
            ("rm", "Remove a model", ["OLLAMA_HOST"]),
        ],
    )
    def test_each_command_has_its_page(self, offline_cli: Cli, command: str, text: str, variables: list[str]) -> None:
        result = offline_cli(command, "--help")

        page, _, section = result.out.partition("Environment Variables:")
        assert (result.code, result.err) == (0, "")
        assert text in page
        listed = [line.split()[0] for line in section.splitlines() if line.strip()]
        assert set(variables) <= set(listed)
        assert result == offline_cli("help", command)


def test_every_flag_of_the_contract_is_there(offline_cli: Cli) -> None:
    import typer.main

    from ollamapy.cli import app

    table = app.program(typer.main.get_command(app.app))
    flags = {
        name: {flag.label for flag in command.flags} for name, command in {**table.commands, "": table.root}.items()
    }

    assert flags["show"] == {
        "--license", "--modelfile", "--parameters", "--template", "--system", "-v, --verbose", "--json",
    }  # fmt: skip
    assert flags["run"] == {
        "--keepalive", "--verbose", "--insecure", "--nowordwrap", "--format", "--think", "--hidethinking",
        "--truncate", "--dimensions",
    }  # fmt: skip
    assert flags["create"] == {"-f, --file", "-q, --quantize", "--draft-quantize", "--warm", "--experimental"}
    assert flags["pull"] == {"--insecure", "--from-peer", "--as", "--all", "--limit-rate", "--detach"}
    assert flags[""] == {"-v, --version", "--install-completion", "--show-completion"}
    assert {table.aliases["ls"], table.aliases["start"]} == {"list", "serve"}


JOB = {
    "id": 3, "kind": "pull", "model": "big:latest", "status": "running", "completed": 430, "total": 1000,
    "bytes_per_second": 5_200_000, "limit_rate": 0, "started_at": "2026-08-01T01:02:03Z",
}  # fmt: skip


def test_jobs_are_a_table(cli: Cli, daemon: FakeDaemon) -> None:
    failed = {**JOB, "id": 4, "status": "failed", "total": 0, "bytes_per_second": 0, "error": "no route to host"}
    daemon.answer("/api/jobs", body={"jobs": [JOB, failed]})

    rows = [line.split() for line in cli("jobs").out.splitlines()]
    assert rows == [
        ["ID", "MODEL", "STATUS", "DONE", "SIZE", "RATE"],
        ["3", "big:latest", "running", "43%", "1", "KB", "5.2", "MB/s"],
        ["4", "big:latest", "failed", "no", "route", "to", "host"],
    ]
    assert json.loads(cli("jobs", "--json").out)["jobs"][0] == {**JOB, "ended_at": "", "error": "", "hint": ""}


@pytest.mark.parametrize(
    ("action", "method", "path"),
    [
        ("pause", "POST", "/api/jobs/3/pause"),
        ("resume", "POST", "/api/jobs/3/resume"),
        ("cancel", "DELETE", "/api/jobs/3"),
    ],
)
def test_a_job_is_steered_by_its_number(cli: Cli, daemon: FakeDaemon, action: str, method: str, path: str) -> None:
    daemon.answer(path, body=JOB)

    assert cli("jobs", action, "3").out.splitlines()[1].split()[:2] == ["3", "big:latest"]
    assert (daemon.log()[-1]["method"], daemon.log()[-1]["path"]) == (method, path)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("jobs", "stop", "3"), "unknown action 'stop'"),
        (("jobs", "pause"), "which job is to pause?"),
        (("pull",), "requires at least 1 arg(s), only received 0"),
        (("pull", "m", "--limit-rate", "fast"), "invalid rate 'fast'"),
        (("pull", "m", "--all"), "--all pulls what is outdated from where it came"),
        (("pull", "a", "b", "--as", "c"), "--as names one model, found several"),
    ],
)
def test_words_about_pulls_that_make_no_sense_are_refused(offline_cli: Cli, words: tuple[str, ...], text: str) -> None:
    result = offline_cli(*words)

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"Error: {text}")


def test_a_pull_that_is_left_to_the_daemon_tells_its_number(cli: Cli, daemon: FakeDaemon) -> None:
    daemon.answer("/api/jobs", body=JOB)

    assert cli("pull", "big", "--detach", "--limit-rate", "5MB") == Result(0, "job 3 pulls big:latest\n", "")
    assert daemon.requests("/api/jobs") == [{"model": "big", "limit_rate": 5_000_000}]


def test_outdated_models_are_shown_and_pulled_again_as_they_were_pulled(cli: Cli, daemon: FakeDaemon) -> None:
    models = [
        {"model": "a:latest", "status": "current", "digest": DIGEST, "available": DIGEST},
        {"model": "b:latest", "status": "outdated", "digest": DIGEST, "available": "f" * 64, "from_peer": "next.door"},
        {"model": "c:latest", "status": "unknown", "digest": DIGEST, "reason": "nobody answers"},
    ]
    daemon.answer("/api/outdated", body={"models": models, "num_others": 2})

    shown = cli("outdated")
    assert [line.split() for line in shown.out.splitlines()] == [
        ["NAME", "STATUS", "ID", "AVAILABLE"],
        ["b:latest", "outdated", DIGEST[:12], "f" * 12],
        ["c:latest", "unknown", DIGEST[:12], "nobody", "answers"],
    ]
    assert shown.err == "1 of 3 pulled models are current; 2 were not pulled, or have changed since\n"
    refreshed = cli("pull", "--all")
    assert refreshed.err.splitlines()[:2] == ["b:latest:", "pulling manifest"]
    assert "c:latest: not compared: nobody answers" in refreshed.err
    assert daemon.requests("/api/pull") == [{"model": "b:latest", "from_peer": "next.door"}]


def test_a_search_is_a_table_and_what_was_not_searched_is_said(cli: Cli, daemon: FakeDaemon) -> None:
    models = [
        {"model": "starter", "source": "catalogue", "description": "a chat model", "size": 91_000_000, "fits": True},
        {"model": "hf.co/o/r", "source": "hub", "description": "7 downloads"},
    ]
    daemon.answer("/api/search", body={"models": models, "notes": ["the hub was not asked"]})

    found = cli("search", "chat", "model")

    assert [line.split() for line in found.out.splitlines()[1:]] == [
        ["starter", "91", "MB", "yes", "a", "chat", "model"],
        ["hf.co/o/r", "?", "?", "7", "downloads"],
    ]
    assert found.err == "the hub was not asked\n"
