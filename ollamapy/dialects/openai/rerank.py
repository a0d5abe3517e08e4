"""`/v1/rerank` over the native rerank, in the words that Cohere and Jina use. Pure."""

from typing import Any

from ollamapy.errors import InvalidInput
from ollamapy.wire import native
from ollamapy.wire.openai import RankedDocument, RankedText, RerankAnswer, RerankRequest, RerankUsage


def request_of(wanted: RerankRequest) -> native.RerankRequest:
    """The native request. Raises InvalidInput."""
    return native.RerankRequest(
        model=wanted.model or "",
        query=wanted.query or "",
        documents=tuple(_text(document, at) for at, document in enumerate(wanted.documents or ())),
        top_n=wanted.top_n or 0,
        keep_alive=wanted.keep_alive,
        options=wanted.options or {},
    )


def _text(document: Any, at: int) -> str:
    text = document.get("text") if isinstance(document, dict) else document
    if not isinstance(text, str):
        raise InvalidInput(f'documents[{at}] must be a text or {{"text": a text}}')
    return text


def answer_of(wanted: RerankRequest, request: native.RerankRequest, answer: native.RerankResponse) -> RerankAnswer:
    """The ranking, with the documents when they were asked for."""
    documents = request.documents if wanted.return_documents else ()
    results = tuple(
        RankedDocument(
            index=result.index,
            relevance_score=result.relevance_score,
            document=RankedText(documents[result.index]) if documents else None,
        )
        for result in answer.results
    )
    return RerankAnswer(
        model=answer.model,
        results=results,
        usage=RerankUsage(answer.prompt_eval_count),
        prompt_dropped_count=answer.prompt_dropped_count,
    )
