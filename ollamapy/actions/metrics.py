"""`GET /metrics`: what the daemon counts, in Prometheus' text format.

Owns the counters; a verb tells it what happened, a scrape asks the pool how things stand. Never decides anything.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ollamapy.pool.pool import Pool
from ollamapy.wire.runner import Finished

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """The counters of one daemon. Labels are the model's short name; times are seconds."""

    def __init__(self, pool: Pool) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_PoolCollector(pool))
        self._answers = self._counter("answers", "Answers that ended.", "reason")
        self._prompt = self._counter("prompt_tokens", "Tokens of prompts.")
        self._cached = self._counter("prompt_cached_tokens", "Prompt tokens that were not computed again.")
        self._dropped = self._counter("prompt_dropped_tokens", "Prompt tokens left out because they did not fit.")
        self._output = self._counter("output_tokens", "Tokens of answers.")
        self._drafted = self._counter("draft_tokens", "Tokens of answers that were guessed.")
        self._accepted = self._counter("draft_accepted_tokens", "Tokens of answers that were guessed rightly.")
        self._cut = self._counter("thinking_cut", "Answers whose thinking the runner ended.")
        self._warnings = self._counter("tool_call_warnings", "Tool calls that could not be read.")
        self._queue = self._histogram("queue_seconds", "From a request's arrival at the runner to its first step.")
        self._first = self._histogram("prompt_seconds", "From a request's first step to its first token.")

    def answered(self, model: str, finished: Finished, num_dropped: int, num_warnings: int) -> None:
        """One answer has ended, whole or cancelled by a limit."""
        self._answers.labels(model, finished.reason).inc()
        self._prompt.labels(model).inc(finished.num_prompt)
        self._cached.labels(model).inc(finished.num_prompt_cached)
        self._dropped.labels(model).inc(num_dropped)
        self._output.labels(model).inc(finished.num_output)
        self._drafted.labels(model).inc(finished.num_drafted)
        self._accepted.labels(model).inc(finished.num_accepted)
        self._cut.labels(model).inc(finished.is_thinking_cut)
        self._warnings.labels(model).inc(num_warnings)
        self._queue.labels(model).observe(finished.queue_seconds)
        self._first.labels(model).observe(finished.prompt_seconds)

    def read(self, model: str, num_prompt: int, num_dropped: int) -> None:
        """Texts were read and nothing was answered but numbers."""
        self._prompt.labels(model).inc(num_prompt)
        self._dropped.labels(model).inc(num_dropped)

    def text(self) -> bytes:
        """All of it, as a scrape gets it."""
        return generate_latest(self._registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"ollamapy_{name}", words, ("model", *labels), registry=self._registry)

    def _histogram(self, name: str, words: str) -> Histogram:
        return Histogram(f"ollamapy_{name}", words, ("model",), registry=self._registry, buckets=_SECONDS)


class _PoolCollector(Collector):
    """How the pool stands, read when somebody asks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("ollamapy_requests_running", "Requests with a runner.", self._pool.num_running)
        yield GaugeMetricFamily("ollamapy_requests_waiting", "Requests that wait for a load.", self._pool.num_waiting)
        size = GaugeMetricFamily("ollamapy_model_bytes", "Memory of a loaded model.", labels=("model",))
        for loaded in self._pool.loaded():
            size.add_metric((str(loaded.label),), loaded.size_bytes)
        yield size
