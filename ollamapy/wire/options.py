"""`Options`: what a request may ask of the engine, in the names of Ollama's API. Values only."""

import msgspec


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sampling and load options with their built-in defaults. None is "not set": the engine or the pool chooses."""

    # Load options: they belong to the runner.
    num_ctx: int | None = None
    num_batch: int | None = None
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    num_thread: int = 0
    draft_num_predict: int | None = None
    # Request options.
    num_keep: int = 4
    seed: int = -1
    num_predict: int = -1
    think_budget: int = -1
    top_k: int = 40
    top_p: float = 0.9
    min_p: float = 0.0
    typical_p: float = 1.0
    repeat_last_n: int = 64
    temperature: float = 0.8
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    grammar: str = ""
    """GBNF; a runner gets it checked, and not in its options."""
