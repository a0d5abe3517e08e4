"""Who runs next, of all that wait. Plain values: no clock, no engine.

1. Who has run before and was sent back, the last one sent first: those behind it were sent earlier from further back.
2. Higher priority. Who was passed by `_PATIENCE` later arrivals counts one higher, so that nobody waits for ever.
3. The client that was served the fewest tokens, of those that have something to do.
4. The order of arrival.
"""

from collections import Counter, deque
from collections.abc import Iterator

from ollamapy.runner.sequence import Sequence

_PATIENCE = 16


class WaitingList:
    """The sequences that wait. Told of every token that was computed, it knows what each client has had."""

    def __init__(self) -> None:
        self._sent_back: deque[Sequence] = deque()
        self._arrived: dict[Sequence, int] = {}
        self._num_arrivals = 0
        self._num_present: Counter[str] = Counter()
        self._served: dict[str, int] = {}

    def arrive(self, sequence: Sequence) -> None:
        """A new sequence. A client that had nothing to do starts level with the one that was served least."""
        client = sequence.request.client
        self._served.setdefault(client, min(self._served.values(), default=0))
        self._num_present[client] += 1
        self._num_arrivals += 1
        self._arrived[sequence] = self._num_arrivals

    def send_back(self, sequence: Sequence) -> None:
        """One that ran has to wait again."""
        self._sent_back.appendleft(sequence)

    def take(self, sequence: Sequence) -> None:
        """It runs now; those that arrived earlier were passed by it."""
        arrival = self._arrived.get(sequence)
        self.discard(sequence)
        if arrival is not None:
            for other, earlier in self._arrived.items():
                other.num_passed += earlier < arrival

    def discard(self, sequence: Sequence) -> None:
        """It waits no more."""
        if sequence in self._arrived:
            del self._arrived[sequence]
        else:
            self._sent_back.remove(sequence)

    def leave(self, sequence: Sequence) -> None:
        """It is done, wherever it was."""
        client = sequence.request.client
        self._num_present[client] -= 1
        if not self._num_present[client]:
            del self._num_present[client], self._served[client]

    def charge(self, sequence: Sequence, num_tokens: int) -> None:
        """So much was computed for its client."""
        self._served[sequence.request.client] += num_tokens

    def __iter__(self) -> Iterator[Sequence]:
        yield from list(self._sent_back)
        yield from sorted(self._arrived, key=self._place)

    def __len__(self) -> int:
        return len(self._sent_back) + len(self._arrived)

    def _place(self, sequence: Sequence) -> tuple[int, int, int]:
        request = sequence.request
        rank = request.priority + sequence.num_passed // _PATIENCE
        return -rank, self._served[request.client], self._arrived[sequence]
