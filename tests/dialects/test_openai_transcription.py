"""`/v1/audio/transcriptions`: the form and the text, by values."""

import pytest
from fakes.plain import plain

from ollamapy.dialects.openai.transcription import request_of, transcription_of
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import AnswerMessage, ChatResponse
from ollamapy.wire.openai import TranscriptionForm


def test_a_sound_goes_as_an_image_after_a_task_that_names_language_and_prompt() -> None:
    request = request_of(TranscriptionForm(model="m", file=b"RIFF", language="de", prompt="names of birds"))
    task, sound = request.messages

    assert (request.model, request.stream, request.options) == ("m", False, {"temperature": 0.0})
    assert (task.role, "de" in task.content, "names of birds" in task.content) == ("system", True, True)
    assert (sound.role, sound.content, sound.images) == ("user", "", ("UklGRg==",))
    assert "language" not in request_of(TranscriptionForm(model="m", file=b"RIFF")).messages[0].content


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        (TranscriptionForm(), "model is required"),
        (TranscriptionForm(model="m"), "file is required: there is no file in the form"),
        (TranscriptionForm(model="m", file=b""), "audio file is empty"),
    ],
)
def test_a_form_that_lacks_something_is_refused_in_the_contracts_order(form: TranscriptionForm, fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        request_of(form)

    assert caught.value.message == fault


def test_what_was_said_is_trimmed() -> None:
    answer = ChatResponse(model="m", created_at="now", message=AnswerMessage("assistant", " hi \n"), done=True)

    assert plain(transcription_of(answer)) == {"text": "hi"}
