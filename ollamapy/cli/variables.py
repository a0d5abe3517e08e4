"""The environment variables that each command's help lists: names and meanings, no values."""

VARIABLES = {
    "OLLAMA_HOST": "address of the daemon (default 127.0.0.1:11434)",
    "OLLAMA_DEBUG": "log more: 1 is debug, 2 is trace",
    "OLLAMA_CONTEXT_LENGTH": "context length when nothing else sets one (default: by memory)",
    "OLLAMA_KEEP_ALIVE": 'how long models stay loaded (default "5m")',
    "OLLAMA_MAX_LOADED_MODELS": "how many models are loaded at most",
    "OLLAMA_MAX_QUEUE": "how many requests wait at most (default 512)",
    "OLLAMA_MODELS": "folder of the models",
    "OLLAMA_NUM_PARALLEL": "how many requests of one model run together at most",
    "OLLAMA_NO_CLOUD": "cloud features are always off here",
    "OLLAMA_NOPRUNE": "never delete unused blobs",
    "OLLAMA_ORIGINS": "more browser origins that are allowed, separated by commas",
    "OLLAMA_SCHED_SPREAD": "always use all GPUs",
    "OLLAMA_FLASH_ATTENTION": "flash attention on or off (default: the engine decides)",
    "OLLAMA_KV_CACHE_TYPE": "type of the key/value cache: f16, q8_0, q4_0 … (default f16)",
    "OLLAMA_LLM_LIBRARY": "engine build to use (default: automatic)",
    "OLLAMA_GPU_OVERHEAD": "bytes to leave free on each GPU",
    "OLLAMA_IGPU_ENABLE": "use integrated GPUs",
    "OLLAMA_LOAD_TIMEOUT": 'how long a load may stall (default "5m")',
    "LLAMA_ARG_FIT": "llama.cpp fits a model to the memory there is (default on)",
    "LLAMA_ARG_FIT_TARGET": "memory that llama.cpp leaves free when it does",
    "OLLAMA_EDITOR": "editor for Ctrl-G (else VISUAL, EDITOR, vi)",
    "OLLAMA_NOHISTORY": "do not write the history of questions",
    "OLLAMAPY_NO_AUTOSTART": "do not start a daemon when none answers",
    "OLLAMAPY_OFFLINE": "make no connection to other machines, except to peers",
    "OLLAMAPY_PEERS": "other ollamapys to fetch from before the internet, separated by commas",
    "OLLAMAPY_LIMIT_RATE": "bytes a second that pulls may bring in all, such as 5MB",
    "OLLAMAPY_DISCOVER": "find other ollamapys in the local network, and be found (mDNS)",
    "OLLAMAPY_SERVE_REGISTRY": "let other machines pull the models of this daemon",
    "OLLAMAPY_SNAPSHOT_BYTES": "disk for prompts that were computed (default 2147483648, 0: none)",
    "OLLAMAPY_HOME": "folder of everything ollamapy keeps",
}

_SERVE = [name for name in VARIABLES if name not in {"OLLAMA_EDITOR", "OLLAMA_NOHISTORY", "OLLAMAPY_NO_AUTOSTART"}]
_RUN = ["OLLAMA_EDITOR", "OLLAMA_HOST", "OLLAMA_NOHISTORY", "OLLAMAPY_NO_AUTOSTART", "OLLAMAPY_HOME"]
_BENCH = ["OLLAMA_HOST", "OLLAMAPY_NO_AUTOSTART", "OLLAMAPY_HOME"]
_STORE = ["OLLAMA_MODELS", "OLLAMAPY_HOME"]
_CLIENT = ["OLLAMA_HOST", "OLLAMAPY_NO_AUTOSTART"]


def help_section(command: str) -> str:
    """The last section of the help of `command`; the leading mark keeps Typer from filling its lines."""
    names = {"serve": _SERVE, "run": _RUN, "bench": _BENCH, "store": _STORE, "config": _STORE}.get(command, _CLIENT)
    return "\b\nEnvironment Variables:\n" + "\n".join(f"  {name:<26}{VARIABLES[name]}" for name in names)
