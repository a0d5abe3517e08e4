"""Model names and digests: the contract's table, and that no name leaves the folder it is joined to."""

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollamapy.errors import InvalidDigest, InvalidInput, InvalidName, Refused
from ollamapy.names import Digest, ModelName, strip_source

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("m", "registry.ollama.ai/library/m:latest"),
        ("m:8b", "registry.ollama.ai/library/m:8b"),
        ("ns/m", "registry.ollama.ai/ns/m:latest"),
        ("h/ns/m", "h/ns/m:latest"),
        ("h/ns/m:t", "h/ns/m:t"),
        ("h:5000/ns/m", "h:5000/ns/m:latest"),
        ("h:5000/ns/m:t", "h:5000/ns/m:t"),
        ("hf.co/org/repo-GGUF:Q4_K_M", "hf.co/org/repo-GGUF:Q4_K_M"),
        ("_why/_the/_lucky:_stiff", "_why/_the/_lucky:_stiff"),
        ("a.b-c_d", "registry.ollama.ai/library/a.b-c_d:latest"),
        ("m:1.5-x_y", "registry.ollama.ai/library/m:1.5-x_y"),
        ("x" * 80 + "/" + "y" * 80 + ":" + "z" * 80, f"registry.ollama.ai/{'x' * 80}/{'y' * 80}:{'z' * 80}"),
        ("h" * 350 + "/n/m", "h" * 350 + "/n/m:latest"),
    ],
)
def test_a_name_is_completed_with_the_defaults(text, full):
    assert ModelName.parse(text).full == full


def test_a_scheme_is_taken_from_a_name_with_all_three_parts():
    assert ModelName.parse("http://h:5000/ns/m").scheme == "http"
    assert ModelName.parse("http://h:5000/ns/m").full == "h:5000/ns/m:latest"
    assert ModelName.parse("h:5000/ns/m").scheme == "https"


@pytest.mark.parametrize(
    "text",
    [
        *["", ":", "/", "m:", ":t", "/m", "ns/", "//m", "h//m", "/ns/m", "h/ns/", "h/ns/:t", "ns//"],
        *["-m", "m:-t", ".m", "m:.t", "-ns/m", ".h/ns/m", "-h/ns/m"],
        *["a.b/m", "h/a.b/m", "h/n:s/m:t", f"m@sha256:{HEX}", "m:t@x", "a b", "a/b/c/d", "m:a:b", "a\\b"],
        *["x" * 81, "m:" + "x" * 81, "x" * 81 + "/m", "h" * 351 + "/n/m"],
        *["..", ".", "../m", "m/..", "h/../m", "../../m", "m:..", "/etc/passwd", "~/m", "h/n/m/../../x"],
        *["m\n", "\nm", "m\0", "m\t", "ä", "m:ß", "\N{KELVIN SIGN}", "m٣"],
        *["http://m", "http://n/m", "http:///n/m", "://h/n/m", "h://x://n/m"],
    ],
)
def test_what_is_no_name_is_refused(text):
    with pytest.raises(InvalidName, match=r"^invalid model name$"):
        ModelName.parse(text)


@given(st.text(max_size=60) | st.text(alphabet="aZ0_.-:/@ ~", max_size=30))
@example("h:1/n/m:t")
def test_a_name_that_parses_is_plain_folders_below_any_root_and_prints_back(text):
    try:
        name = ModelName.parse(text)
    except InvalidName:
        return
    assert len(name.path.parts) == 4
    assert not name.path.is_absolute()
    assert not set(name.path.parts) & {"", ".", ".."}
    assert all(not part.startswith((".", "-")) for part in name.path.parts)
    assert ModelName.from_path(name.path.parts).full == name.full
    assert ModelName.parse(name.full).full == name.full
    assert ModelName.parse(name.short).key == name.key
    assert name.full.isascii()


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("registry.ollama.ai/library/m:latest", "m:latest"),
        ("Registry.Ollama.AI/Library/m:latest", "m:latest"),
        ("registry.ollama.ai/ns/m:t", "ns/m:t"),
        ("host/library/m:t", "host/library/m:t"),
        ("hf.co/org/repo:t", "hf.co/org/repo:t"),
    ],
)
def test_the_short_form_drops_defaults_and_always_shows_the_tag(full, short):
    assert ModelName.parse(full).short == short
    assert str(ModelName.parse(full)) == short


def test_names_that_differ_in_case_have_one_key():
    assert ModelName.parse("Host/NS/Model:Tag").key == ModelName.parse("hOST/ns/mODEL:tAG").key
    assert ModelName.parse("a").key != ModelName.parse("b").key


def test_the_parts_of_a_name_are_its_path():
    name = ModelName.parse("h:5000/ns/m:t")

    assert name.path == PurePosixPath("h:5000", "ns", "m", "t")
    assert name.repository == "ns/m"


@pytest.mark.parametrize("parts", [(), ("h", "n", "m"), ("h", "n", "m", "t", "x"), ("h", "n", "m", ".t")])
def test_a_path_that_is_no_manifest_is_no_name(parts):
    with pytest.raises(InvalidName):
        ModelName.from_path(parts)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("x", "x"),
        ("  x:8b \n", "x:8b"),
        ("x:local", "x"),
        ("x:LOCAL", "x"),
        ("x:8b:local", "x:8b"),
        ("h:5000/n/x:Local", "h:5000/n/x"),
        ("local", "local"),
        ("x:localhost", "x:localhost"),
        ("x:cloudy", "x:cloudy"),
        ("cloud:5000/n/x", "cloud:5000/n/x"),
        ("n/x-cloud", "n/x-cloud"),
    ],
)
def test_a_lookup_drops_white_space_and_the_word_local(text, rest):
    assert strip_source(text) == rest


@pytest.mark.parametrize("text", ["x:cloud", "x:CLOUD", "x:120b-cloud", "x:8b:cloud", " x:cloud "])
def test_a_cloud_name_is_refused(text):
    with pytest.raises(Refused, match=r"^ollama cloud is disabled"):
        ModelName.parse_local(text)


@pytest.mark.parametrize("text", ["x:cloud:local", "x:local:cloud", "x:120b-cloud:local"])
def test_a_name_cannot_be_local_and_cloud(text):
    with pytest.raises(InvalidInput) as caught:
        ModelName.parse_local(text)

    assert caught.value.message == f'use either :local or :cloud, not both: "{text}"'
    assert caught.value.status == 400


def test_a_lookup_is_as_strict_as_parse_after_that():
    assert ModelName.parse_local(" m:local ").short == "m:latest"
    for text in (":local", "..:local", "a b", ""):
        with pytest.raises(InvalidName):
            ModelName.parse_local(text)


@pytest.mark.parametrize("text", [f"sha256:{HEX}", f"sha256-{HEX}", f"sha256:{HEX.upper()}"])
def test_a_digest_is_read_in_either_form_and_printed_in_one(text):
    digest = Digest.parse(text)

    assert (str(digest), digest.filename, digest.short) == (f"sha256:{HEX}", f"sha256-{HEX}", HEX[:12])


@pytest.mark.parametrize(
    "text",
    [
        *["", HEX, f"sha256{HEX}", f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"md5:{HEX}", f"SHA256:{HEX}"],
        *[f"sha256:{HEX}\n", f" sha256:{HEX}", f"sha256:{HEX[:-1]}g", f"sha256:../{HEX[3:]}", f"sha256:{HEX[:-1]}٣"],
    ],
)
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(InvalidDigest, match=r"^invalid digest format$"):
        Digest.parse(text)


@pytest.mark.parametrize(
    ("text", "full", "repository"),
    [
        ("oci://ghcr.io/org/m:v1", "ghcr.io/org/m:v1", "org/m"),
        ("oci://docker.io/ai/m", "docker.io/ai/m:latest", "ai/m"),
        ("oci://docker.io/m", "docker.io/library/m:latest", "library/m"),
        ("oci://localhost:5000/m:v1", "localhost:5000/library/m:v1", "m"),
        ("oci://ghcr.io/org/team.a/m:v1", "ghcr.io/org-team-a/m:v1", "org/team.a/m"),
    ],
)
def test_an_artefact_keeps_its_repository_however_many_parts_it_has(text: str, full: str, repository: str) -> None:
    name = ModelName.parse(text)

    assert (name.full, name.repository, name.scheme) == (full, repository, "oci")
    assert name.served_repository == full.rpartition(":")[0]
    assert ModelName.parse(full).key == name.key


@pytest.mark.parametrize(
    "text",
    [
        "oci://",
        "oci://h",
        "oci://h/",
        "oci://h//m",
        "oci://h/../m",
        "oci://h/Up/m",
        "oci://h/m:",
        "oci:///a/m",
        "oci://h/-a/m",
        "oci://h/a/m@sha256:0",
        f"oci://h/{'a/' * 200}m",
        f"oci://h/{'a/' * 60}m",
    ],
)
def test_an_artefact_of_an_impossible_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        ModelName.parse(text)
