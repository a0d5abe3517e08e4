"""`Options`: what a request may ask of the engine, in the names of Ollama's API. Values only."""

import msgspec

SAMPLERS = ("penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc", "temperature")
"""What may narrow the choice of a token, in llama.cpp's own order."""
GAP_SAMPLER = "infill"
"""One more, for those who name it: made for text that fills a gap."""


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sampling and load options with their built-in defaults. None is "not set": the engine or the pool chooses."""

    # Load options: they belong to the runner.
    num_ctx: int | None = None
    num_batch: int | None = None
    num_gpu: int = -1
    main_gpu: int | None = None
    use_mmap: bool | None = None
    use_mlock: bool = False
    num_thread: int = 0
    kv_type: str | None = None
    flash_attention: bool | None = None
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
    top_n_sigma: float = -1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    repeat_last_n: int = 64
    temperature: float = 0.8
    dynatemp_range: float = 0.0
    dynatemp_exponent: float = 1.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    repeat_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_penalty_last_n: int = -1
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    samplers: tuple[str, ...] = ()
    """Their order, and which of them; none is `SAMPLERS`."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token ids with what is added to their logits."""
    stop: tuple[str, ...] = ()
    t_max_predict_ms: int = 0
    """The answer ends with the line in which so much time has passed since its first token; 0 is no bound."""
    n_indent: int = 0
    """The answer ends at a line that begins with less blanks; its first line may begin anywhere."""
    grammar: str = ""
    """GBNF; a runner gets it checked, and not in its options."""
