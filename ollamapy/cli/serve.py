"""Being the daemon. Imports nothing that only a client needs: it would stay in the daemon's memory."""

from ollamapy.settings import Settings


def serve(settings: Settings) -> int:
    """Runs the daemon until it is told to stop; its exit code. Raises Error when its port or store is taken."""
    from ollamapy.server import daemon

    return daemon.run(settings)
