"""The real program, whose daemon gives peers a minute to answer: a busy machine may stand still for some seconds."""

from ollamapy.cli.app import main
from ollamapy.remotes import discovery, peers
from ollamapy.remotes.oci import crew

if __name__ == "__main__":
    peers.PROBE_SECONDS = crew._LEASE_LIMIT_SECONDS = 60.0
    discovery._ASK_MILLISECONDS = 60_000
    main()
