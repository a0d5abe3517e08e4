"""`/v1/models`: the native list and show in OpenAI's words. Pure."""

from ollamapy.dialects.times import unix_seconds
from ollamapy.names import ModelName
from ollamapy.wire.native import ListResponse, ShowResponse
from ollamapy.wire.openai import Model, ModelList


def models_of(tags: ListResponse) -> ModelList:
    """Every model, in the order of `/api/tags`."""
    return ModelList("list", tuple(_model(item.name, item.modified_at) for item in tags.models))


def model_of(name: str, shown: ShowResponse) -> Model:
    """The model under the name that it was asked for."""
    return _model(name, shown.modified_at)


def _model(name: str, modified_at: str) -> Model:
    return Model(name, "model", unix_seconds(modified_at), ModelName.parse(name).namespace)
