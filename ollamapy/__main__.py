"""`python -m ollamapy` is the command line."""

from ollamapy.cli.app import main

if __name__ == "__main__":
    main()
