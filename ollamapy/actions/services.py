"""What the verbs work with, wired together once by the daemon. Holds references and nothing else."""

from dataclasses import dataclass, field

from ollamapy.actions.grammars import Grammars
from ollamapy.actions.headers import Headers
from ollamapy.actions.listings import Listings
from ollamapy.actions.metrics import Metrics
from ollamapy.actions.templates import Templates
from ollamapy.pool.pool import Pool
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.remotes.discovery import Neighbours
from ollamapy.remotes.job import Job
from ollamapy.remotes.jobs import Jobs
from ollamapy.remotes.transfers import Transfers
from ollamapy.settings import Settings
from ollamapy.store.store import Store


@dataclass(slots=True)
class Services:
    """The first argument of every verb."""

    settings: Settings
    store: Store
    catalogue: Catalogue
    transfers: Transfers
    pool: Pool
    templates: Templates
    headers: Headers
    metrics: Metrics
    vocabularies: Pool
    """Runners that know words and nothing else; models do not wait for their places."""
    grammars: Grammars = field(default_factory=Grammars)
    listings: Listings = field(default_factory=Listings)
    neighbours: Neighbours = field(default_factory=Neighbours)
    """Other ollamapys in the network; none unless discovery is on."""
    jobs: Jobs = field(default_factory=Jobs)
    job: Job = field(default_factory=Job)
    """The pull that this is about: how fast it may be, and whether it is paused."""
    client: str = ""
    """Who asks: the address that a request came from. Clients share a busy model evenly."""
