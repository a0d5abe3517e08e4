"""`/v1/audio/transcriptions` over the native chat: a form one way, a text the other. Pure."""

import base64

from ollamapy.errors import InvalidInput
from ollamapy.wire.native import ChatRequest, ChatResponse, Message
from ollamapy.wire.openai import Transcription, TranscriptionForm

_TASK = "Write down, word for word, what is said in the audio. Answer with that text and nothing else."


def request_of(form: TranscriptionForm) -> ChatRequest:
    """The native request; the sound goes where images go. Raises InvalidInput, in the contract's order."""
    if not form.model:
        raise InvalidInput("model is required")
    if form.file is None:
        raise InvalidInput("file is required: there is no file in the form", hint="send the sound as the part `file`")
    if not form.file:
        raise InvalidInput("audio file is empty")
    sound = base64.b64encode(form.file).decode()
    return ChatRequest(
        model=form.model,
        stream=False,
        messages=(Message("system", _task(form)), Message("user", images=(sound,))),
        options={"temperature": 0.0},
    )


def _task(form: TranscriptionForm) -> str:
    language = f" The language is {form.language}." if form.language else ""
    return _TASK + language + (f" What it is about: {form.prompt}" if form.prompt else "")


def transcription_of(answer: ChatResponse) -> Transcription:
    """What was said."""
    return Transcription(answer.message.content.strip())
