"""What a benchmark asks: how much, of how many clients, and the very words. Pure: the same numbers give the same texts.

Lengths are in tokens, texts in words. Nobody here has a tokenizer, so a `Scale` is learnt from two prompts whose
lengths the server reported. Every text differs from every other from its first sentence on, so that a server which
keeps prefixes finds none but those that were asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Message

TASK = "\nWrite a very long story with all of these words. Do not stop."
"""Models go on for hundreds of tokens at temperature 0; an answer that ends early is counted as it came."""

_VOCABULARY = """
apple river stone garden window paper forest engine letter winter summer music market bridge island mountain ocean
desert valley village castle palace temple harbor station hospital school library kitchen bedroom table chair mirror
candle bottle basket blanket pillow jacket button pocket ribbon silver copper iron gold glass brick wood leather
cotton bread butter cheese honey sugar coffee orange lemon cherry pepper onion potato chicken rabbit horse tiger
monkey eagle spider turtle flower branch root leaf seed cloud thunder rain snow wind storm planet moon star teacher
doctor farmer soldier painter writer singer dancer captain king queen prince brother sister uncle friend
"""
_WORDS = tuple(_VOCABULARY.split())


@dataclass(frozen=True, slots=True)
class Workload:
    """What each client does: `turns` turns of one chat. All clients of a run begin at once."""

    prompt_tokens: int = 128
    """Of the first prompt, the template's own tokens included; of each later turn, the user's words."""
    output_tokens: int = 64
    shared_prefix: int = 0
    """Length of a system prompt that all clients of a run share, on top of the prompt; every run has its own."""
    turns: int = 1
    is_warm: bool = False
    """All runs share the system prompt, and one run that does not count has made the server know it."""

    def check(self) -> None:
        """Raises InvalidInput."""
        least = {"prompt-tokens": 1, "output-tokens": 1, "shared-prefix": 0, "turns": 1}
        for (name, low), value in zip(least.items(), self._counts, strict=True):
            if not low <= value <= 1_000_000:
                raise InvalidInput(f"--{name} must be between {low} and 1000000, not {value}")

    @property
    def context_tokens(self) -> int:
        """The most that one client's chat takes, with room for templates and for inexact lengths."""
        return int(1.1 * (self.shared_prefix + self.turns * (self.prompt_tokens + self.output_tokens))) + 128

    @property
    def _counts(self) -> tuple[int, ...]:
        return self.prompt_tokens, self.output_tokens, self.shared_prefix, self.turns


@dataclass(frozen=True, slots=True)
class Scale:
    """A prompt of so many words has `overhead + tokens_per_word * words` tokens."""

    overhead: float
    tokens_per_word: float

    @classmethod
    def of(cls, short: tuple[int, int], long: tuple[int, int]) -> "Scale":
        """The line through two measured (words, tokens); a server that reports no lengths gets a common guess."""
        (few, low), (many, high) = short, long
        if high <= low or many <= few:
            return cls(20.0, 1.3)
        slope = (high - low) / (many - few)
        return cls(low - slope * few, slope)

    def num_words(self, tokens: int, *, is_whole_prompt: bool) -> int:
        """How many words make `tokens` tokens, with the template's and the task's own if it is the whole prompt."""
        own = tokens - self.overhead if is_whole_prompt else float(tokens)
        return max(1, round(own / self.tokens_per_word))


@dataclass(frozen=True, slots=True)
class Script:
    """What the clients of one run say. `name` is the benchmark's own, so that no server knows its texts from before."""

    workload: Workload
    scale: Scale
    name: str
    run: int

    def opening(self) -> tuple[Message, ...]:
        """The messages that all clients of the run share."""
        if not self.workload.shared_prefix:
            return ()
        num_words = self.scale.num_words(self.workload.shared_prefix, is_whole_prompt=False)
        return (Message("system", words(num_words, f"{self.name} system {0 if self.workload.is_warm else self.run}")),)

    def question(self, client: int, turn: int) -> Message:
        """The user's message of a turn; turns and clients count from 0."""
        num_words = self.scale.num_words(self.workload.prompt_tokens, is_whole_prompt=turn == 0)
        return task(num_words, f"{self.name} run {self.run} client {client} turn {turn}")


def task(num_words: int, seed: str) -> Message:
    """A user's message of so many random words that makes models talk."""
    return Message("user", words(num_words, seed) + TASK)


def words(count: int, seed: str) -> str:
    """So many words of simple sentences, others for each seed. Without sentences small models fall silent."""
    random = Random(seed)
    sentences = (f"{_a(random)} is near the {_a(random)} and the {_a(random)}." for _ in range(-(-count // 8)))
    return " ".join(" ".join(sentences).split()[:count])


def _a(random: Random) -> str:
    return random.choice(_WORDS)


def parse_clients(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers, in the order given. Raises InvalidInput."""
    try:
        counts = tuple(int(part) for part in text.split(","))
    except ValueError:
        counts = ()
    if not counts or not all(1 <= count <= 1024 for count in counts):
        raise InvalidInput(f"--clients must be numbers from 1 to 1024 with commas between, not {text!r}")
    return counts


def order(num_targets: int, run: int) -> Sequence[int]:
    """Who goes first in a pair of runs: it changes, so that a machine that warms up or slows down favours nobody."""
    return range(num_targets) if run % 2 == 0 else range(num_targets - 1, -1, -1)
