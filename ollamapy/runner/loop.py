"""The decode loop of a runner: takes messages, asks the scheduler for a step, decodes, samples, sends text.

Owns the sequences and every effect of a step. It must never wait for the daemon while sequences run, and nothing
here may cost time in proportion to the vocabulary.
"""

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

from ollamapy.errors import InvalidInput
from ollamapy.runner.draft import Draft
from ollamapy.runner.intake import Submission, TooLong, begin
from ollamapy.runner.model import Chunk, Decoded, Model
from ollamapy.runner.pace import Pace
from ollamapy.runner.prefix import Copy, PrefixTree, Remove, Restore, Spill
from ollamapy.runner.scheduler import Planned, Scheduler, Step, num_prefill
from ollamapy.runner.sequence import Sequence, Stage, shift_range
from ollamapy.runner.threads import IdleCores, ThreadControl
from ollamapy.runner.tiers import Tiers
from ollamapy.runner.whole import WholePrefixes
from ollamapy.wire.runner import Cancel, Event, Output, Refusal, Stats

_STATS_STEPS = 64
_LONG_PROMPT = 256
"""Tokens of a prompt, computed and not taken from the cache, from which on it is saved without delay."""
_MOST_UNSAVED = 8

log = logging.getLogger(__name__)


class Closed:
    """The daemon closed the pipe: the runner ends."""


Message = Submission | Cancel | Closed
Send = Callable[[list[Event]], None]


class Loop:
    """Runs until `Closed` arrives. `send` gets the events of a step in one list."""

    def __init__(self, model: Model, send: Send, tiers: Tiers | None = None, draft: Draft | None = None) -> None:
        info = model.info
        self._model = model
        self._draft = draft
        self._tiers = tiers
        self._send = send
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._scheduler = Scheduler(
            pool_tokens=info.pool_tokens,
            num_parallel=info.num_parallel,
            max_batch=info.max_batch,
            cache=PrefixTree(info.num_slots) if info.can_cut else WholePrefixes(info.num_slots),
            reach=tiers.reach if tiers else None,
            guess=draft.guess if draft else None,
            idle_cells=info.idle_cells if tiers and tiers.has_memory else None,
            mixes=info.mixes,
        )
        self._pace = Pace(info.max_batch)
        self._threads = ThreadControl(info.max_threads)
        self._idle_cores = IdleCores()
        self._events: list[Event] = []
        self._is_closed = False
        self._unsaved: list[tuple[str, list[int]]] = []
        """Scopes and tokens of prompts that took long to compute, since the loop was idle."""
        self._lone_prompt: int | None = None
        """The request whose prompt has a step for itself: nobody else would miss it."""
        self._meter = _Meter()

    def put(self, message: Message) -> None:
        """Hands a message to the loop; safe from any thread. A step that it makes useless is ended."""
        self._inbox.put(message)
        is_lone = isinstance(message, Cancel) and message.id == self._lone_prompt
        if (is_lone or isinstance(message, Closed)) and self._model.info.can_cut:
            self._model.abort()

    def run(self) -> None:
        """Serves until Closed, then saves what is worth it."""
        while True:
            self._take_messages()
            if self._is_closed:
                self._save()
                return
            started = time.perf_counter()
            step = self._next_step()
            self._carry_out_moves()
            self._run_step(step)
            self._meter.step_seconds += time.perf_counter() - started
            if self._meter.num_steps >= _STATS_STEPS or self._scheduler.is_idle:
                self._send([self._meter.take()])
                if self._scheduler.is_idle:
                    self._scheduler.check()
                    if self._draft:
                        self._draft.check()
                    self._save_early()

    def _save(self) -> None:
        """What running sequences have computed is saved too; nobody waits for their answers any more."""
        for sequence in list(self._scheduler.running):
            self._release(sequence, keep=True)
        if self._tiers:
            self._tiers.save(self._scheduler.cache.holders())

    def _save_early(self) -> None:
        """Saves the prompts that took long to compute, as far as they are still in the pool."""
        if not (self._tiers and self._unsaved):
            return
        prompts, self._unsaved = self._unsaved, []
        found = (
            (slot, scope, prompt)
            for slot, scope, tokens in self._scheduler.cache.holders()
            for asked, prompt in prompts
            if (asked, prompt) == (scope, tokens[: len(prompt)])
        )
        self._tiers.save_early(found, lambda: not self._inbox.empty())

    def _flush(self) -> None:
        if self._events:
            self._send(self._events)
            self._events = []

    # Messages

    def _take_messages(self) -> None:
        """Takes everything that has arrived; waits for the first message while there is nothing to do."""
        while True:
            try:
                message = self._inbox.get(block=self._scheduler.is_idle and not self._is_closed)
            except queue.Empty:
                self._flush()
                return
            match message:
                case Submission():
                    self._admit_request(message)
                case Cancel():
                    self._cancel(message.id)
                case Closed():
                    self._is_closed = True
                    return
            if self._scheduler.is_idle:
                self._flush()

    def _admit_request(self, submission: Submission) -> None:
        try:
            self._scheduler.submit(begin(submission, self._model))
        except InvalidInput as error:
            self._events.append(Refusal(submission.request.id, "invalid", error.message))
        except TooLong as error:
            self._events.append(
                Refusal(submission.request.id, "prompt_too_long", str(error), error.num_prompt, error.limit)
            )
        except Exception as error:  # the seam between one request and all others
            log.exception("request failed id=%d", submission.request.id)
            self._events.append(Refusal(submission.request.id, "internal", f"{type(error).__name__}: {error}"))

    def _cancel(self, request_id: int) -> None:
        sequence = self._scheduler.find(request_id)
        if sequence:
            self._finish(sequence, "cancel")

    # A step

    def _next_step(self) -> Step:
        num_decoding = self._scheduler.num_decoding
        budget = self._pace.budget(num_decoding, self._scheduler.num_prompts)
        return self._scheduler.next_step(budget, self._pace.packed_budget(num_decoding))

    def _run_step(self, step: Step) -> None:
        for batch in step.batches:
            before = self._meter.decode_seconds
            is_whole = self._run_batch(batch)
            self._flush()
            if not is_whole:
                return
            if not any(planned.guessed for planned in batch):
                self._pace.observe(num_prefill(batch), self._meter.decode_seconds - before)

    def _run_batch(self, batch: list[Planned]) -> bool:
        """Computes one batch and takes what comes of it; False when the rest of the step is off."""
        self._carry_out_moves()
        started, cpu_started = time.perf_counter(), time.process_time()
        for planned in batch:
            if planned.sequence.started is None:
                planned.sequence.started = started
        outcome = self._decode(batch)
        if outcome is Decoded.ABORTED:
            return False
        seconds = time.perf_counter() - started
        num_tokens = sum(p.num_tokens for p in batch)
        self._adapt_threads(started, seconds, time.process_time() - cpu_started, num_tokens)
        self._meter.add_step(num_tokens, seconds)
        if outcome is Decoded.NO_ROOM:
            self._give_way(batch)
            return False
        row = 0
        for planned in batch:
            is_last = planned.is_last
            self._scheduler.computed(planned)
            if is_last:
                self._advance(planned, row)
                row += 1 + len(planned.guessed)
        return True

    def _decode(self, batch: list[Planned]) -> Decoded:
        """Computes a batch. ABORTED: there is news, and nothing of the batch is left."""
        is_lone = len(batch) == 1 and batch[0].count > 1
        self._lone_prompt = batch[0].sequence.id if is_lone else None
        if is_lone and not self._inbox.empty():  # a cancel that came before it could know what to end
            return Decoded.ABORTED
        outcome = self._model.decode([_chunk(p) for p in batch])
        self._lone_prompt = None
        if outcome is Decoded.ABORTED:
            for planned in batch:
                self._model.remove(planned.sequence.slot, planned.sequence.edge, -1)
        return outcome

    def _carry_out_moves(self) -> None:
        for move in self._scheduler.cache.take_moves():
            match move:
                case Copy(source, target, start, end):
                    self._model.copy(source, target, start, end)
                case Remove(slot, start, end):
                    self._model.remove(slot, start, end)
                case Spill() if self._tiers:
                    self._tiers.spill(move)
                case Restore() if self._tiers:
                    self._tiers.restore(move)

    def _adapt_threads(self, now: float, wall_seconds: float, cpu_seconds: float, num_tokens: int) -> None:
        if self._threads.max_threads == 1:
            return
        before = self._threads.num_threads
        count = self._threads.observe(now, wall_seconds, cpu_seconds, num_tokens, self._idle_cores.read(now))
        if count != before:
            self._model.set_threads(count)
            if self._draft:
                self._draft.set_threads(count)
            log.debug("threads changed before=%d now=%d", before, count)

    def _give_way(self, batch: list[Planned]) -> None:
        """The engine found no cells although the books say there are: guesses go, else the youngest sequence waits."""
        log.warning("no room in the pool state=%r", self._scheduler)
        for sequence in self._scheduler.running:
            self._model.remove(sequence.slot, sequence.edge, -1)
        guesses = [planned.sequence.speculation for planned in batch if planned.guessed]
        for speculation in guesses:
            if speculation:
                speculation.rest()
        if guesses or self._scheduler.give_way():
            return
        sequence = self._scheduler.running[0]
        self._fail(sequence, "the engine found no room for the sequence in the KV pool")

    def _advance(self, planned: Planned, row: int) -> None:
        """Samples the next tokens of a sequence. Trouble with one sequence ends that one only."""
        sequence = planned.sequence
        try:
            num_right = self._take_tokens(sequence, row, planned.guessed)
            if sequence.speculation and planned.guessed:
                sequence.speculation.learn(len(planned.guessed), num_right)
        except InvalidInput as error:
            self._release(sequence, keep=True)
            self._events.append(Refusal(sequence.id, "invalid", error.message))
        except Exception as error:  # the seam between one request and all others
            log.exception("sequence failed id=%d", sequence.id)
            self._fail(sequence, f"{type(error).__name__}: {error}")

    def _take_tokens(self, sequence: Sequence, row: int, guessed: tuple[int, ...]) -> int:
        """Takes the token of `row`, and as long as it was guessed, that of the next row; answers how many were."""
        speculation = sequence.speculation
        if speculation:
            speculation.drafted(len(guessed))
        for num_right, guess in enumerate(guessed):
            token = sequence.sampler.sample(row + num_right)
            if speculation and token == guess:
                speculation.accepted()
            self._take_token(sequence, row + num_right, token)
            if sequence.stage is not Stage.RUNNING:
                return num_right
            if token != guess:
                self._model.remove(sequence.slot, sequence.num_computed, -1)
                return num_right
            self._scheduler.guessed_right(sequence)
        row += len(guessed)
        self._take_token(sequence, row, sequence.sampler.sample(row))
        return len(guessed)

    def _take_token(self, sequence: Sequence, row: int, token: int) -> None:
        now = time.perf_counter()
        if sequence.answered is None:
            sequence.answered = now
        if self._model.is_end(token):
            sequence.num_output += 1
            self._finish(sequence, "stop")
            return
        num_top = sequence.request.num_top_logprobs
        if num_top >= 0:
            sequence.pending_logprobs.append(self._model.logprob(row, token, num_top))
        piece = sequence.specials.get(token) or self._model.piece(token)
        sequence.append(token, piece)
        text = sequence.text.push(piece)
        if sequence.fence:
            text = sequence.fence.push(text, now - sequence.answered)
        if text:
            self._emit(sequence, text)
        if sequence.text.is_stopped:
            self._finish(sequence, "stop")
        elif sequence.fence and sequence.fence.is_over:
            self._finish(sequence, "length")
        elif sequence.is_stuck:
            self._finish(sequence, "length" if sequence.request.grammar else "stop")
        elif sequence.num_output >= sequence.max_output or (sequence.is_full and not self._shift(sequence)):
            self._finish(sequence, "length")

    def _shift(self, sequence: Sequence) -> bool:
        """Drops old tokens so that the sequence can go on; False when it may not or the engine cannot."""
        info = self._model.info
        if sequence.pictures or not (sequence.request.shift and info.can_shift):
            return False
        start, end = shift_range(len(sequence.tokens), sequence.num_ctx, sequence.num_keep, info.adds_bos)
        is_own = self._scheduler.cache.cut(sequence.slot, start)
        self._carry_out_moves()
        if is_own:
            if not self._model.remove(sequence.slot, start, end):
                return False
            self._model.move(sequence.slot, end, sequence.num_computed, start - end)
        self._scheduler.shift(sequence, start, end, is_own=is_own)
        sequence.num_shifted += end - start
        log.info("context shifted id=%d dropped=%d kept=%d", sequence.id, end - start, start)
        return True

    # Endings

    def _emit(self, sequence: Sequence, text: str) -> None:
        logprobs = tuple(sequence.pending_logprobs)
        sequence.pending_logprobs.clear()
        self._events.append(Output(sequence.id, text, sequence.num_output, logprobs))

    def _finish(self, sequence: Sequence, reason: str) -> None:
        is_cut = reason == "cancel" or (sequence.fence is not None and sequence.fence.is_over)
        rest = "" if is_cut else sequence.text.finish()
        if rest or (sequence.pending_logprobs and reason != "cancel"):
            self._emit(sequence, rest)
        self._release(sequence, keep=True)
        self._events.append(sequence.finished(reason, time.perf_counter()))

    def _fail(self, sequence: Sequence, message: str) -> None:
        self._release(sequence, keep=False)
        self._events.append(Refusal(sequence.id, "internal", message))

    def _release(self, sequence: Sequence, *, keep: bool) -> None:
        num_new = sequence.num_prompt - (sequence.num_cached or 0)
        if self._model.info.can_cut and sequence.num_output and num_new >= _LONG_PROMPT:
            self._unsaved = [*self._unsaved[1 - _MOST_UNSAVED :], (sequence.request.scope, sequence.prompt_tokens)]
        self._scheduler.remove(sequence, keep=keep)
        self._carry_out_moves()
        sequence.sampler.close()


@dataclass(slots=True)
class _Meter:
    """Counts steps since the last report."""

    num_steps: int = 0
    num_tokens: int = 0
    decode_seconds: float = 0.0
    step_seconds: float = 0.0

    def add_step(self, num_tokens: int, seconds: float) -> None:
        self.num_steps += 1
        self.num_tokens += num_tokens
        self.decode_seconds += seconds

    def take(self) -> Stats:
        host = max(self.step_seconds - self.decode_seconds, 0.0)
        stats = Stats(self.num_steps, self.num_tokens, self.decode_seconds, host)
        self.num_steps, self.num_tokens, self.decode_seconds, self.step_seconds = 0, 0, 0.0, 0.0
        return stats


def _chunk(planned: Planned) -> Chunk:
    sequence, start, guessed = planned.sequence, planned.sequence.num_computed, planned.guessed
    end = start + planned.count
    picture = sequence.picture
    part = picture.part(start, end) if picture else None
    tokens = sequence.tokens[start:end]
    return Chunk(sequence.slot, sequence.position, [*tokens, *guessed], planned.is_last, part, len(guessed))
