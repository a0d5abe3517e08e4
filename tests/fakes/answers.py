"""What a runner said to one request, put together from its events."""

from dataclasses import dataclass, field

from ollamapy.wire.runner import Finished, Output, Refusal, TokenLogprob


@dataclass
class Answer:
    """All that one request was told."""

    outputs: list[Output] = field(default_factory=list)
    end: Finished | Refusal | None = None

    def add(self, event: Output | Finished | Refusal) -> None:
        """The next event of this request; none may come after the end."""
        assert self.end is None, f"{event} came after the end"
        if isinstance(event, Output):
            assert event.text or event.logprobs, "an output of nothing"
            self.outputs.append(event)
        else:
            self.end = event

    @property
    def text(self) -> str:
        return "".join(output.text for output in self.outputs)

    @property
    def logprobs(self) -> list[TokenLogprob]:
        return [logprob for output in self.outputs for logprob in output.logprobs]

    @property
    def finished(self) -> Finished:
        assert isinstance(self.end, Finished), self.end
        return self.end

    @property
    def refusal(self) -> Refusal:
        assert isinstance(self.end, Refusal), self.end
        return self.end

    @property
    def summary(self) -> tuple[object, ...]:
        """What must not depend on how the request was scheduled."""
        end = self.end
        if isinstance(end, Refusal):
            return self.text, end
        assert end is not None
        return self.text, end.reason, end.tokens, end.num_prompt, end.num_prompt_dropped, end.num_output, self.logprobs
