"""The rows: each measures one kind of work in pairs, and says which ratios it found and which were to be reached."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from ollamapy.bench import plan, report
from ollamapy.bench.load import Load
from ollamapy.bench.measures import ratio
from ollamapy.bench.plan import Scale, Workload
from ollamapy.bench.result import Point, clients
from ollamapy.client import Client
from ollamapy.errors import Error
from scripts.lib.bar.finding import Finding
from scripts.lib.bar.ground import MODEL, Ground, busy_core
from scripts.lib.bar.lists import lists
from scripts.lib.bar.pulls import pulls
from scripts.lib.bar.quantize import quantize

NUM_PAIRS = 3
PREFIX_TOKENS = 1500
COLD_PREFIX = Workload(prompt_tokens=128, output_tokens=64, shared_prefix=PREFIX_TOKENS)
WARM_PREFIX = Workload(prompt_tokens=128, output_tokens=64, shared_prefix=PREFIX_TOKENS, is_warm=True)
QUANTIZED = "bench-q4-0"
EMBEDDER = "starter-embed"


async def clients_row(ground: Ground) -> list[Finding]:
    """1, 4, 8 and 16 clients, different prompts, 128 and 64 tokens, against llama-server's best number of slots."""
    async with ground.bench(Workload()) as bench:
        points = await bench.measure((1, 4, 8, 16))
    return [finding for pair in zip(points[::2], points[1::2], strict=True) for finding in _versus(*pair, 1.0, 1.05)]


async def cold_prefix(ground: Ground) -> list[Finding]:
    """16 clients at once on a system prompt of 1,500 tokens that the server has not seen."""
    async with ground.bench(COLD_PREFIX) as bench:
        best = await bench.measure((16,))
    async with ground.bench(COLD_PREFIX, slots=16) as bench:
        slots = await bench.measure((16,))
    return [*_versus(best[0], best[1], 1.2, 0.65), _versus(slots[0], slots[1], 5.0, 1.0)[0]]


async def warm_prefix(ground: Ground) -> list[Finding]:
    """The same with a system prompt that the server knows from an earlier run."""
    async with ground.bench(WARM_PREFIX) as bench:
        ours, theirs = await bench.measure((16,))
    return _versus(ours, theirs, 1.05, 1.0)[:1]


async def restart(ground: Ground) -> list[Finding]:
    """The first answer of a model with a SYSTEM of 1,500 tokens after the daemon was started again."""
    colds, warms = [], []
    async with Load() as load, ground.bench(Workload(), alone=True) as bench:
        scale = await bench.calibrate()
        for number in range(NUM_PAIRS):
            name = f"bench-system-{number}"
            await asyncio.to_thread(_create, ground, name, system=_system(scale, f"{time.time()} {number}"))
            colds.append(await _first_answer(ground, load, name))
            await _first_answer(ground, load, name)  # what is kept at the end is kept of a model that was used
            await asyncio.to_thread(ground.stop)
            await asyncio.to_thread(ground.start)
            warms.append(await _first_answer(ground, load, name))
            await asyncio.to_thread(_delete, ground, name)
    detail = f"{report.time(median(warms))} after {report.time(median(colds))} cold"
    return [Finding("TTFT", ratio(warms, colds), 0.1, is_limit=True, detail=detail)]


async def chat(ground: Ground) -> list[Finding]:
    """The last of 10 turns of 200 tokens (136 asked, 64 answered), against a llama-server that holds the chat."""
    async with ground.bench(Workload(prompt_tokens=136, output_tokens=64, turns=10), slots=1) as bench:
        ours, theirs = await bench.measure((1,))
    firsts = ours.summary.last_turn_first_p50, theirs.summary.last_turn_first_p50
    detail = f"{report.time(firsts[0])} against {report.time(firsts[1])}"
    return [Finding("TTFT of the last turn", ratio(firsts[:1], firsts[1:]), 1.0, is_limit=True, detail=detail)]


async def busy(ground: Ground) -> list[Finding]:
    """1 and 4 clients while another process keeps a core busy."""
    async with ground.bench(Workload()) as bench:
        with busy_core():
            points = await bench.measure((1, 4))
    return [_versus(*pair, 2.0, 1.0)[0] for pair in zip(points[::2], points[1::2], strict=True)]


async def copy(ground: Ground) -> list[Finding]:
    """A text of 600 tokens to be copied with one word changed, with speculation and without, on Q4_0 weights."""
    async with ground.bench(Workload(), alone=True) as bench:
        scale = await bench.calibrate()
    return await asyncio.to_thread(_copy, ground, scale)


def _copy(ground: Ground, scale: Scale) -> list[Finding]:
    ground.put(QUANTIZED, quantize)
    withs, withouts = [], []
    with ground.client() as client:
        for number in range(NUM_PAIRS):
            text = plan.words(scale.num_words(600, is_whole_prompt=False), f"{time.time()} {number}")
            request = f"Repeat this text and write stones instead of stone. Write nothing else.\n\n{text}"
            withouts.append(_output_rate(client, request, draft_num_predict=0))
            withs.append(_output_rate(client, request))
    detail = f"{median(withs):.0f} against {median(withouts):.0f} tokens/s"
    return [Finding("output tokens/s", ratio(withs, withouts), 1.5, detail=detail)]


async def memory(ground: Ground) -> list[Finding]:
    """Resident memory of the daemon and its children with one model in use, against llama-server as it comes."""
    await asyncio.to_thread(ground.stop)  # another row's models and cache are not this row's
    await asyncio.to_thread(ground.start)
    async with ground.bench(Workload(), slots=0) as bench:
        ours, theirs = await bench.measure((4,))
    mine, other = ours.summary.peak, theirs.summary.peak
    detail = f"{report.memory(ours.summary)} against {report.memory(theirs.summary)}"
    return [
        Finding("resident memory", ratio([mine.total_bytes], [other.total_bytes]), 1.35, is_limit=True, detail=detail),
        Finding("the daemon alone, MB", mine.daemon_bytes / 1e6, 70.0, is_limit=True),
    ]


async def embeddings(ground: Ground) -> list[Finding]:
    """1,000 texts of 64 tokens in requests of 32, against one by one through the same server."""
    return await asyncio.to_thread(_embeddings, ground)


def _embeddings(ground: Ground) -> list[Finding]:
    together, single = [], []
    with ground.client() as client:
        for _ in client.pull(EMBEDDER):
            pass
        few = client.embed({"model": EMBEDDER, "input": [plan.words(20, "few")]}).prompt_eval_count
        many = client.embed({"model": EMBEDDER, "input": [plan.words(80, "many")]}).prompt_eval_count
        num_words = Scale.of((20, few), (80, many)).num_words(64, is_whole_prompt=True)
        for number in range(NUM_PAIRS):
            texts = [plan.words(num_words, f"{time.time()} {number} {index}") for index in range(1000)]
            together.append(_embed(client, texts, 32))
            single.append(_embed(client, texts, 1))
    detail = f"{median(together):.0f} against {median(single):.0f} texts/s"
    return [Finding("texts/s", ratio(together, single), 1.5, detail=detail)]


ROWS: dict[str, Callable[[Ground], Awaitable[list[Finding]]]] = {
    "clients": clients_row,
    "cold-prefix": cold_prefix,
    "warm-prefix": warm_prefix,
    "restart": restart,
    "chat": chat,
    "busy": busy,
    "copy": copy,
    "memory": memory,
    "embeddings": embeddings,
    "lists": lists,
    "pull": pulls,
}


def _versus(ours: Point, theirs: Point, least_speed: float, most_first: float) -> list[Finding]:
    """Output and mean time to the first token of a pair of points."""
    speed, first = report.ratios(ours, theirs)
    who = f"{clients(ours.num_clients)}, {theirs.label}"
    rates = f"{ours.summary.output_rate:.1f} against {theirs.summary.output_rate:.1f}"
    firsts = f"{report.time(ours.summary.first_mean)} against {report.time(theirs.summary.first_mean)}"
    return [
        Finding(f"output tokens/s, {who}", speed, least_speed, detail=rates),
        Finding(f"mean TTFT, {who}", first, most_first, is_limit=True, detail=firsts),
    ]


def _system(scale: Scale, seed: str) -> str:
    return plan.words(scale.num_words(PREFIX_TOKENS, is_whole_prompt=False), seed)


def _create(ground: Ground, name: str, **fields: str) -> None:
    """A model on the starter's weights."""
    with ground.client() as client:
        for _ in client.create({"model": name, "from": MODEL, **fields}):
            pass


def _delete(ground: Ground, name: str) -> None:
    with ground.client() as client:
        client.delete(name)


async def _first_answer(ground: Ground, load: Load, name: str) -> float:
    """Time to the first token of a model that is loaded, and has not been asked since."""
    target = await ground.target(load, name)
    with ground.client() as client:
        await asyncio.to_thread(lambda: list(client.generate({"model": name})))
    answer = await load.ask(target, [plan.task(10, f"{time.time()}")], 8)
    return answer.arrivals[0]


def _output_rate(client: Client, prompt: str, **options: int) -> float:
    """Output tokens per second of one answer."""
    request = {
        "model": QUANTIZED,
        "messages": [{"role": "user", "content": prompt}],
        "options": {"temperature": 0, "num_predict": 600, **options},
    }
    *_, last = client.chat(request)
    return last.eval_count / (last.eval_duration / 1e9)


def _embed(client: Client, texts: list[str], size: int) -> float:
    """Texts per second in requests of `size`."""
    start = time.perf_counter()
    for index in range(0, len(texts), size):
        client.embed({"model": EMBEDDER, "input": texts[index : index + size]})
    return len(texts) / (time.perf_counter() - start)


def explain(error: Error) -> str:
    """Why a row has no figure."""
    return f"{error.message} ({error.hint})" if error.hint else error.message
