"""The row of lists: how long a client waits for `/api/tags` and `/api/show` in a store with many models."""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import gguf
import numpy as np

from ollamapy.client import Client
from ollamapy.names import Digest
from scripts.lib.bar.finding import Finding
from scripts.lib.bar.ground import Ground

NUM_MODELS = 500
NUM_NAMES = 1000
NUM_ASKS = 100
NUM_TOKENS = 8_000
NUM_BLOCKS = 32
SETTLE_SECONDS = 3.0
TEMPLATE = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}" * 20
TENSORS = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")


async def lists(ground: Ground) -> list[Finding]:
    """The list of 500 models, each with weights of its own, and of 1,000 names for them, and the details of one."""
    return await asyncio.to_thread(_lists)


def _lists() -> list[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        ground = Ground(Path(folder))
        ground.start()
        try:
            with ground.client() as client:
                for number in range(NUM_MODELS):
                    _create(client, Path(folder), number)
                time.sleep(SETTLE_SECONDS)  # what has just changed may change again, and is not kept
                found = [
                    _finding(f"/api/tags, {NUM_MODELS} models, ms", client.list, 20.0),
                    _finding("/api/show, ms", lambda: client.show("bench-7"), 10.0),
                ]
                for number in range(NUM_MODELS, NUM_NAMES):
                    client.copy(f"bench-{number - NUM_MODELS}", f"bench-{number}")
                time.sleep(SETTLE_SECONDS)
                return [*found, _finding(f"/api/tags, {NUM_NAMES} names, ms", client.list, 100.0)]
        finally:
            ground.stop()


def _finding(what: str, ask: Callable[[], object], most: float) -> Finding:
    """The median time of an answer; the first two, which warm the daemon, do not count."""
    times = [_seconds(ask) * 1000 for _ in range(NUM_ASKS + 2)][2:]
    return Finding(what, median(times), most, is_limit=True, detail=f"{min(times):.1f} to {max(times):.1f} ms")


def _seconds(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return time.perf_counter() - start


def _create(client: Client, folder: Path, number: int) -> None:
    """A model with every usual layer."""
    path = folder / "weights.gguf"
    _write(path, f"bench {number}")
    digest = Digest(hashlib.sha256(path.read_bytes()).hexdigest())
    client.put_blob(digest, path)
    request = {
        "model": f"bench-{number}",
        "files": {"weights.gguf": str(digest)},
        "template": "{{ .System }} {{ .Prompt }}",
        "system": f"You are number {number}.",
        "license": "All rights reserved. " * 500,
        "parameters": {"temperature": 0.5, "stop": ["<|user|>"]},
    }
    for _ in client.create(request):
        pass


def _write(path: Path, name: str) -> None:
    """The header of a usual model, over tensors of one row each."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_context_length(4096)
    writer.add_embedding_length(32)
    writer.add_block_count(NUM_BLOCKS)
    writer.add_head_count(4)
    writer.add_chat_template(TEMPLATE)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"token {number}" for number in range(NUM_TOKENS)])
    for block in range(NUM_BLOCKS):
        for tensor in TENSORS:
            writer.add_tensor(f"blk.{block}.{tensor}.weight", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
