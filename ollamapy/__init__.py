"""ollamapy: a local model manager, daemon and CLI. Importing this package imports nothing else."""

__version__ = "0.1.0"

EMULATED_VERSION = "0.30.0"
"""The level of Ollama's API that `/api/version` reports; clients compare it with their minimum."""
