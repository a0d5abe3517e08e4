"""The real runner, for which every token under a grammar takes too long."""

from ollamapy.runner import __main__ as runner
from ollamapy.runner import sampler

if __name__ == "__main__":
    sampler.MAX_TOKEN_SECONDS = -1.0
    runner.run()
