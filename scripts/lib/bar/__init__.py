"""The bar: what ollamapy is to reach against its peers, one row of the README's table each. Run by scripts/bench."""
