"""Whether a model can do something, asked before the verb that would refuse it. Loads nothing."""

from ollamapy.actions import inference
from ollamapy.actions.services import Services


async def can(services: Services, name: str, capability: str) -> bool:
    """True when the model called `name` has `capability`. Raises InvalidName, NotFound, Refused for cloud names."""
    return capability in (await inference.resolve(services, name)).capabilities


async def require(services: Services, name: str, capability: str) -> None:
    """Raises InvalidInput when the model called `name` lacks `capability`, and what `can` raises."""
    inference.require_capability(await inference.resolve(services, name), capability)
