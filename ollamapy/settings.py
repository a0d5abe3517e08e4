"""The only reader of environment variables: `Settings.from_env` gives one frozen value.

Ollama's variables keep their names and meaning. ollamapy's own begin with OLLAMAPY_.
"""

import logging
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlunsplit

import platformdirs

from ollamapy import units
from ollamapy.errors import InvalidInput

DEFAULT_PORT = 11434
FOREVER = float("inf")
UNHEEDED = (
    "OLLAMA_GPU_OVERHEAD",
    "OLLAMA_IGPU_ENABLE",
    "OLLAMA_LLM_LIBRARY",
    "OLLAMA_SCHED_SPREAD",
    "OLLAMA_VULKAN",
    "LLAMA_ARG_FIT",
    "LLAMA_ARG_FIT_TARGET",
)
"""What Ollama looks at and ollamapy does not, yet."""
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Host:
    """Where the daemon listens, or where a client finds it. `address` is empty for "all addresses"."""

    scheme: str
    address: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `[scheme://]host[:port][/path]`. A bad port falls back to the default with a warning; never raises."""
        text = _clean(text)
        scheme, separator, rest = text.partition("://")
        if not separator:
            scheme, rest = "http", text
        port = {"http": 80, "https": 443}.get(scheme, DEFAULT_PORT) if separator else DEFAULT_PORT
        if not separator and rest == "ollama.com":
            scheme, port = "https", 443
        rest, slash, path = rest.partition("/")
        address, port = _split_port(rest, port)
        return cls(scheme, address, port, f"/{path}".rstrip("/") if slash else "")

    @property
    def url(self) -> str:
        """`scheme://host:port/path`, IPv6 in brackets."""
        return self._url(self.address)

    @property
    def client_url(self) -> str:
        """The URL that a client connects to: the unspecified addresses become loopback ones."""
        return self._url({"0.0.0.0": "127.0.0.1", "::": "::1", "": "localhost"}.get(self.address, self.address))

    @property
    def is_loopback(self) -> bool:
        """True when a client on this machine reaches the daemon through the loopback interface."""
        return self.address in {"localhost", "::1", "", "0.0.0.0", "::"} or self.address.startswith("127.")

    def _url(self, address: str) -> str:
        bracketed = f"[{address}]" if ":" in address else address
        return urlunsplit((self.scheme, f"{bracketed}:{self.port}", self.path, "", ""))


def _split_port(text: str, default: int) -> tuple[str, int]:
    """Splits `host:port`; text that does not split is all host."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*):([^:]*)", text)
    if not match:
        return text.strip("[]") or "127.0.0.1", default
    address = match[1].strip("[]")
    if re.fullmatch(r"[0-9]{1,18}", match[2]) and int(match[2]) <= 65535:
        return address, int(match[2])
    log.warning("invalid port, using default port=%r default=%d", match[2], default)
    return address, default


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process. Durations are seconds, sizes bytes, infinity is forever; None is "not set"."""

    host: Host
    home: Path
    """Where ollamapy keeps everything of its own: models, history, logs, cache."""
    models: Path
    keep_alive: float = 300.0
    load_timeout: float = 300.0
    max_loaded_models: int = 0
    max_queue: int = 512
    num_parallel: int = 0
    """Upper bound on requests of one model that decode together; 0 chooses by itself."""
    context_length: int = 0
    origins: tuple[str, ...] = ()
    noprune: bool = False
    flash_attention: bool | None = None
    go_template: bool | None = None
    """True: the Modelfile's TEMPLATE renders; False: the GGUF file's own; None: whichever can do more."""
    kv_cache_type: str = "f16"
    snapshot_bytes: int = 2 << 30
    """What the folder of saved prefixes may hold; 0 saves none."""
    log_level: int = logging.INFO
    nohistory: bool = False
    editor: str = "vi"
    autostart: bool = True
    catalogue: Path | None = None
    """A catalogue of the user's own, merged over the shipped one."""
    hub_endpoint: str = ""
    """The mirror of the Hugging Face hub, if there is one."""
    modelscope_domain: str = ""
    """The host that stands in for modelscope.cn, if there is one."""
    offline: bool = False
    """No connection to other machines is made, except to `peers`."""
    peers: tuple[str, ...] = ()
    """Other ollamapys, `host` or `host:port`, that are asked for blobs before the internet."""
    limit_rate: int = 0
    """Bytes a second that all pulls together may bring; 0 leaves it to the configuration file."""
    discover: bool = False
    """Whether other ollamapys in the local network are looked for, by multicast DNS, and told of this one."""
    serve_registry: bool = False
    """Whether other machines may pull from this daemon's store."""
    log_requests: bool = False
    """Whether the bodies of inference requests are written to a folder."""
    unheeded: tuple[str, ...] = ()
    """Variables of Ollama that are set and that nothing here looks at yet."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """The settings that `env` (default: this process's environment) gives. Only warns about bad values."""
        env = os.environ if env is None else env
        get = _Reader(env)
        home = get.path("OLLAMAPY_HOME") or Path(platformdirs.user_data_dir("ollamapy", appauthor=False))
        return cls(
            host=Host.parse(get.text("OLLAMA_HOST")),
            home=home,
            models=get.path("OLLAMA_MODELS") or home / "models",
            keep_alive=get.duration("OLLAMA_KEEP_ALIVE", 300.0),
            load_timeout=get.limit("OLLAMA_LOAD_TIMEOUT", 300.0),
            max_loaded_models=get.uint("OLLAMA_MAX_LOADED_MODELS", 0),
            max_queue=get.uint("OLLAMA_MAX_QUEUE", 512),
            num_parallel=get.uint("OLLAMA_NUM_PARALLEL", 0),
            context_length=get.uint("OLLAMA_CONTEXT_LENGTH", 0),
            origins=tuple(entry.strip() for entry in get.text("OLLAMA_ORIGINS").split(",") if entry.strip()),
            noprune=get.flag("OLLAMA_NOPRUNE", False),
            flash_attention=get.switch("OLLAMA_FLASH_ATTENTION"),
            go_template=get.switch("OLLAMA_GO_TEMPLATE"),
            kv_cache_type=get.choice("OLLAMA_KV_CACHE_TYPE", units.KV_TYPE_BITS, "f16"),
            snapshot_bytes=get.uint("OLLAMAPY_SNAPSHOT_BYTES", 2 << 30),
            log_level=get.log_level("OLLAMA_DEBUG"),
            nohistory=get.flag("OLLAMA_NOHISTORY", False),
            editor=get.text("OLLAMA_EDITOR") or get.text("VISUAL") or get.text("EDITOR") or "vi",
            autostart=not get.flag("OLLAMAPY_NO_AUTOSTART", False),
            catalogue=get.path("OLLAMAPY_CATALOGUE"),
            peers=tuple(peer.strip() for peer in get.text("OLLAMAPY_PEERS").split(",") if peer.strip()),
            hub_endpoint=get.text("HF_ENDPOINT").rstrip("/"),
            modelscope_domain=get.text("MODELSCOPE_DOMAIN"),
            offline=get.flag("OLLAMAPY_OFFLINE", False),
            limit_rate=get.rate("OLLAMAPY_LIMIT_RATE"),
            discover=get.flag("OLLAMAPY_DISCOVER", False),
            serve_registry=get.flag("OLLAMAPY_SERVE_REGISTRY", False),
            log_requests=get.flag("OLLAMA_DEBUG_LOG_REQUESTS", False),
            unheeded=tuple(name for name in UNHEEDED if get.text(name)),
        )

    @property
    def in_force(self) -> dict[str, str]:
        """What the variables of a daemon come to, by name, for the log line at start."""
        values: dict[str, object] = {
            "OLLAMA_CONTEXT_LENGTH": self.context_length,
            "OLLAMA_DEBUG": logging.getLevelName(self.log_level),
            "OLLAMA_DEBUG_LOG_REQUESTS": self.log_requests,
            "OLLAMA_FLASH_ATTENTION": self.flash_attention,
            "OLLAMA_GO_TEMPLATE": self.go_template,
            "OLLAMA_HOST": self.host.url,
            "OLLAMA_KEEP_ALIVE": _duration(self.keep_alive),
            "OLLAMA_KV_CACHE_TYPE": self.kv_cache_type,
            "OLLAMA_LOAD_TIMEOUT": _duration(self.load_timeout),
            "OLLAMA_MAX_LOADED_MODELS": self.max_loaded_models,
            "OLLAMA_MAX_QUEUE": self.max_queue,
            "OLLAMA_MODELS": self.models,
            "OLLAMA_NOPRUNE": self.noprune,
            "OLLAMA_NO_CLOUD": True,
            "OLLAMA_NUM_PARALLEL": self.num_parallel,
            "OLLAMA_ORIGINS": ",".join(self.origins),
            "OLLAMAPY_DISCOVER": self.discover,
            "OLLAMAPY_HOME": self.home,
            "OLLAMAPY_OFFLINE": self.offline,
            "OLLAMAPY_PEERS": ",".join(self.peers),
            "OLLAMAPY_SERVE_REGISTRY": self.serve_registry,
            "OLLAMAPY_SNAPSHOT_BYTES": self.snapshot_bytes,
        }
        return {name: "" if value is None else str(value) for name, value in values.items()}

    @property
    def key_file(self) -> Path:
        """The Ed25519 key for registries: Ollama's own when there is one, since accounts know it."""
        shared = Path.home() / ".ollama" / "id_ed25519"
        return shared if shared.exists() else self.home / "id_ed25519"

    @property
    def config_file(self) -> Path:
        """What the user says about registries; need not be there."""
        return self.home / "config.yaml"

    @property
    def snapshots(self) -> Path:
        """Where runners save prefixes."""
        return self.home / "cache" / "prefixes"

    @property
    def log_file(self) -> Path:
        """Where a daemon that the CLI started in the background writes."""
        return self.home / "logs" / "server.log"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Typed access to the variables, with Ollama's rules for bad values."""

    env: Mapping[str, str]

    def text(self, name: str) -> str:
        return _clean(self.env.get(name, ""))

    def path(self, name: str) -> Path | None:
        """A leading `~` is the user's home; one of an unknown user stays as it is."""
        value = self.text(name)
        try:
            return Path(value).expanduser() if value else None
        except RuntimeError:
            log.warning("no such user, path taken as it is name=%s value=%r", name, value)
            return Path(value)

    def choice(self, name: str, known: Collection[str], default: str) -> str:
        value = self.text(name) or default
        if value in known:
            return value
        log.warning("unknown value, using default name=%s value=%r default=%s", name, value, default)
        return default

    def switch(self, name: str) -> bool | None:
        value = self.text(name)
        return None if not value else value not in _FALSE

    def flag(self, name: str, default: bool) -> bool:
        value = self.switch(name)
        return default if value is None else value

    def uint(self, name: str, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        if re.fullmatch(r"[0-9]{1,20}", value) and int(value) < 2**64:
            return int(value)
        log.warning("invalid environment variable, using default name=%s value=%r default=%d", name, value, default)
        return default

    def duration(self, name: str, default: float) -> float:
        """Seconds; negative is forever; a bad value is the default, silently."""
        value = self.text(name)
        if not value:
            return default
        try:
            seconds = float(int(value)) if re.fullmatch(r"[+-]?[0-9]{1,18}", value) else units.parse_duration(value)
        except InvalidInput:
            return default
        return FOREVER if seconds < 0 else seconds

    def rate(self, name: str) -> int:
        """Bytes a second; 0 when there is no value, and for a bad one with a warning."""
        try:
            return units.parse_rate(self.text(name) or "0")
        except InvalidInput as error:
            log.warning("%s, no limit name=%s: %s", error.message, name, error.hint)
            return 0

    def limit(self, name: str, default: float) -> float:
        """As `duration`, where zero means no limit too."""
        return self.duration(name, default) or FOREVER

    def log_level(self, name: str) -> int:
        """Python's level: 1 or true is debug, 2 trace (5), 0 or false info, -1 warnings, -2 errors."""
        value = self.text(name)
        if re.fullmatch(r"[+-]?[0-9]{1,3}", value):
            steps = int(value)
            return max(1, 15 - 5 * steps if steps > 0 else logging.INFO - 10 * steps)
        return logging.DEBUG if value and value not in _FALSE else logging.INFO


def _duration(seconds: float) -> str:
    return "forever" if seconds == FOREVER else units.format_duration(int(seconds * 1e9))


def _clean(text: str) -> str:
    return text.strip().strip("\"'").strip()
