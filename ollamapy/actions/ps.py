"""`GET /api/ps`: the models that are loaded."""

import time

from ollamapy.actions import lookup
from ollamapy.actions.services import Services
from ollamapy.pool.pool import Loaded
from ollamapy.units import FOREVER_SECONDS, format_local
from ollamapy.wire.native import LoadedModel, PsResponse


def ps(services: Services) -> PsResponse:
    """The loaded models, longest remaining time first."""
    now = time.time()
    loaded = sorted(services.pool.loaded(), key=lambda runner: -runner.expires_at)
    return PsResponse(tuple(_shown(runner, now) for runner in loaded))


def _shown(runner: Loaded, now: float) -> LoadedModel:
    label = runner.label
    return LoadedModel(
        name=label.name.short,
        model=label.name.short,
        size=runner.size_bytes,
        digest=label.manifest_digest,
        details=lookup.details_of(label.config),
        expires_at=format_local(min(runner.expires_at, now + FOREVER_SECONDS)),
        size_vram=runner.vram_bytes,
        context_length=runner.num_ctx,
    )
