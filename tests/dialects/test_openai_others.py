"""OpenAI's text completions, models, embeddings and errors, by values."""

import base64
import json
import struct
from typing import Any

import msgspec
import pytest
from fakes.plain import plain

from ollamapy.dialects.body import decode
from ollamapy.dialects.openai import completion, embeddings, errors, models, rerank
from ollamapy.dialects.openai.chat import Envelope
from ollamapy.dialects.openai.completion import CompletionStream
from ollamapy.errors import Busy, Error, InvalidInput, NotFound, Unsupported
from ollamapy.wire.native import (
    DebugInfo,
    Details,
    EmbedResponse,
    GenerateRequest,
    GenerateResponse,
    ListedModel,
    ListResponse,
    RerankResponse,
    RerankResult,
    ShowResponse,
)
from ollamapy.wire.openai import CompletionRequest, EmbeddingRequest, RerankRequest

ENVELOPE = Envelope("cmpl-7", 1700000000, "m")
DEFAULTS = {"temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
HEAD = {"id": "cmpl-7", "object": "text_completion", "model": "m", "system_fingerprint": "fp_ollama"}


def native(**fields: Any) -> GenerateRequest:
    body = json.dumps({"model": "m", "prompt": "hi", **fields}).encode()
    [request] = completion.requests_of(decode(body, CompletionRequest))
    return request


def said(text: str, **fields: Any) -> GenerateResponse:
    return GenerateResponse(model="m", created_at="1970-01-01T00:00:01.9Z", response=text, **{"done": False, **fields})


ENDED = GenerateResponse(
    model="m",
    created_at="1970-01-01T00:00:02Z",
    response="",
    done=True,
    done_reason="stop",
    prompt_eval_count=5,
    eval_count=3,
)


def test_a_completion_is_a_prompt_that_does_not_stream() -> None:
    request = native(suffix="s", keep_alive=0)

    assert (request.prompt, request.suffix, request.stream, request.raw, request.keep_alive) == (
        "hi",
        "s",
        False,
        False,
        0,
    )
    assert native(prompt=None).prompt == ""


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"top_p": 0, "temperature": 0}, {"temperature": 0.0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"frequency_penalty": 1}, {"frequency_penalty": 1.0}),
        ({"stop": "x", "seed": 1, "max_tokens": 4}, {"stop": ["x"], "seed": 1, "num_predict": 4}),
        ({"stop": ["x", "y"]}, {"stop": ["x", "y"]}),
        ({"options": {"presence_penalty": 1}}, {"presence_penalty": 1}),
        ({"best_of": 2, "echo": True, "user": "u"}, {}),
    ],
)
def test_fields_of_a_completion_become_options(fields: dict[str, Any], options: dict[str, Any]) -> None:
    assert native(**fields).options == {**DEFAULTS, **options}


def test_log_probabilities_are_asked_for_by_number() -> None:
    assert (native(logprobs=2).logprobs, native(logprobs=2).top_logprobs) == (True, 2)
    assert native(logprobs=0).logprobs is False


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"prompt": ["a"]}, r"Expected `str \| null`, got `array` - at `\$.prompt`"),
        ({"stop": ["a", 1]}, "invalid type for 'stop' field: float64"),
        ({"stop": [None]}, "invalid type for 'stop' field: <nil>"),
    ],
)
def test_a_bad_completion_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        native(**fields)


def test_a_whole_completion_has_its_fields_in_the_contracts_order() -> None:
    answer = said("hi", thinking="hm", done=True, done_reason="stop", prompt_eval_count=5, eval_count=3)

    assert msgspec.json.encode(completion.completion_of(ENVELOPE, [answer])).decode() == (
        '{"id":"cmpl-7","object":"text_completion","created":1700000000,"model":"m","system_fingerprint":"fp_ollama",'
        '"choices":[{"text":"hi","index":0,"finish_reason":"stop"}],'
        '"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
    )


def test_a_rendered_prompt_is_passed_on() -> None:
    answer = said("", debug_info=DebugInfo(rendered_template="<hi>"))

    assert plain(completion.completion_of(ENVELOPE, [answer]))["_debug_info"] == {"rendered_template": "<hi>"}


def test_chunks_of_a_completion_carry_their_own_time_and_no_usage() -> None:
    stream = CompletionStream(ENVELOPE)
    chunks = [*stream.push(0, said("a")), *stream.push(0, ENDED), *stream.finish()]

    assert plain(chunks) == [
        {**HEAD, "created": 1, "choices": [{"text": "a", "index": 0, "finish_reason": None}]},
        {**HEAD, "created": 2, "choices": [{"text": "", "index": 0, "finish_reason": "stop"}]},
    ]


def test_with_usage_every_chunk_has_zeros_and_one_more_the_numbers() -> None:
    stream = CompletionStream(ENVELOPE, includes_usage=True)
    chunks = [*stream.push(0, said("a")), *stream.push(0, ENDED), *stream.finish()]
    usages = [plain(chunk.usage) for chunk in chunks]

    assert usages[:2] == [{"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}] * 2
    assert usages[2] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert chunks[2].choices == ()


def test_models_are_listed_with_their_owner_and_time() -> None:
    names = ("a:latest", "ann/b:1")
    listed = ListResponse(tuple(ListedModel(n, n, "2026-08-01T01:02:03.5+02:00", 1, "d", Details()) for n in names))

    assert plain(models.models_of(listed)) == {
        "object": "list",
        "data": [
            {"id": "a:latest", "object": "model", "created": 1785538923, "owned_by": "library"},
            {"id": "ann/b:1", "object": "model", "created": 1785538923, "owned_by": "ann"},
        ],
    }
    assert plain(models.models_of(ListResponse(()))) == {"object": "list", "data": []}


def test_one_model_keeps_the_name_that_it_was_asked_for() -> None:
    shown = ShowResponse(details=Details(), model_info={}, modified_at="2026-08-01T01:02:03Z")

    assert models.model_of("a", shown).id == "a"


def embedding(**fields: Any) -> EmbeddingRequest:
    return decode(json.dumps({"model": "m", **fields}).encode(), EmbeddingRequest)


@pytest.mark.parametrize(("input_", "texts"), [("a", ("a",)), ("", ("",)), (["a", ""], ("a", ""))])
def test_embedding_inputs_are_texts(input_: Any, texts: tuple[str, ...]) -> None:
    assert embeddings.request_of(embedding(input=input_, dimensions=3)).input == texts


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "invalid input"),
        ({"input": None}, "invalid input"),
        ({"input": []}, "invalid input"),
        ({"input": [1, 2]}, "invalid input type"),
        ({"input": 1}, "invalid input type"),
        ({"input": {}}, "invalid input type"),
        (
            {"input": "a", "encoding_format": "hex"},
            "Invalid value for 'encoding_format' = hex. Supported values: ['float', 'base64'].",
        ),
    ],
)
def test_bad_embedding_requests_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        embeddings.request_of(embedding(**fields))

    assert caught.value.message == text


def test_vectors_come_as_numbers_or_as_base64() -> None:
    answer = EmbedResponse("m", ((0.5, -1.0), (0.0, 2.0)), prompt_eval_count=4)
    numbers = plain(embeddings.embeddings_of(embedding(), answer))
    packed = embeddings.embeddings_of(embedding(encoding_format="BASE64"), answer)

    assert numbers == {
        "object": "list",
        "data": [
            {"object": "embedding", "embedding": [0.5, -1.0], "index": 0},
            {"object": "embedding", "embedding": [0.0, 2.0], "index": 1},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    assert isinstance(packed.data[0].embedding, str)
    assert struct.unpack("<2f", base64.b64decode(packed.data[0].embedding)) == (0.5, -1.0)


def test_inputs_that_were_cut_are_said() -> None:
    answer = EmbedResponse("m", ((1.0,),), prompt_dropped_count=3)

    assert plain(embeddings.embeddings_of(embedding(), answer))["prompt_dropped_count"] == 3


def ranking(**fields: Any) -> RerankRequest:
    return decode(json.dumps({"model": "m", "query": "q", **fields}).encode(), RerankRequest)


def test_documents_to_rank_are_texts_or_hold_one() -> None:
    native = rerank.request_of(ranking(documents=["a", {"text": "b"}], top_n=1, options={"num_ctx": 9}))

    assert (native.documents, native.top_n, native.options) == (("a", "b"), 1, {"num_ctx": 9})
    with pytest.raises(InvalidInput, match=r'documents\[1\] must be a text or {"text": a text}'):
        rerank.request_of(ranking(documents=["a", {"title": "b"}]))


@pytest.mark.parametrize("has_documents", [False, True])
def test_a_ranking_has_the_documents_when_they_are_asked_for(has_documents: bool) -> None:
    wanted = ranking(documents=["a", "b"], return_documents=has_documents)
    answer = RerankResponse("m", (RerankResult(1, 2.5), RerankResult(0, -1.0)), prompt_eval_count=7)
    found = plain(rerank.answer_of(wanted, rerank.request_of(wanted), answer))

    texts = [{"document": {"text": text}} if has_documents else {} for text in ("b", "a")]
    scores = [{"index": 1, "relevance_score": 2.5}, {"index": 0, "relevance_score": -1.0}]
    results = [score | text for score, text in zip(scores, texts, strict=True)]
    assert found == {"model": "m", "results": results, "usage": {"total_tokens": 7}}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("x"), "invalid_request_error"),
        (NotFound("x"), "not_found_error"),
        (Busy("x"), "api_error"),
        (Unsupported("x"), "api_error"),
        (Error("x"), "api_error"),
    ],
)
def test_errors_have_the_type_of_their_status(error: Error, kind: str) -> None:
    assert msgspec.json.encode(errors.error_of(error)).decode() == (
        f'{{"error":{{"message":"x","type":"{kind}","param":null,"code":null}}}}'
    )


def test_a_hint_is_added_to_an_error() -> None:
    assert errors.error_of(Error("x", hint="do y")).error.hint == "do y"
