"""Gets a model ready to answer: finds it, pulls it when it is missing, decides how it thinks, loads it."""

from ollamapy.cli import progress
from ollamapy.client import Client
from ollamapy.errors import NotFound
from ollamapy.wire.native import GenerateRequest, ShowResponse, Think


def find(client: Client, model: str, insecure: bool) -> ShowResponse:
    """What the daemon knows about `model`, which it pulls first when it does not have it."""
    try:
        return client.show(model)
    except NotFound:
        progress.follow(client.pull(model, insecure=insecure))
        return client.show(model)


def think_as(wish: Think, shown: ShowResponse) -> Think:
    """How to think: as wished, else whenever the model can; None leaves it to the daemon."""
    return True if wish is None and "thinking" in shown.capabilities else wish


def load(client: Client, request: GenerateRequest) -> None:
    """Loads the model of a request without a prompt, behind a spinner."""
    with progress.waiting():
        for _ in client.generate(request):
            pass
