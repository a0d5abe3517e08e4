"""The bounds that keep a stranger's template harmless. A template that breaks one fails with TemplateError.

They are far above what real templates need: the largest known are below 20,000 characters and nest 12 levels deep.
"""

MAX_SOURCE_CHARS = 4 * 1024 * 1024
MAX_TOKENS = 50_000
MAX_MESSAGE_CHARS = 1000
"""Of what an error quotes from a template or its data."""
MAX_NESTING = 100
"""Levels of blocks and parentheses in the text of a template, `else if` chains included."""
MAX_DEPTH = 100
"""Levels of templates that call templates."""
MAX_STEPS = 2_000_000
"""Parts of a template that one execution may visit, about a second's work; long values count as several."""
MAX_OUTPUT_CHARS = 16 * 1024 * 1024
MAX_MADE_CHARS = 16 * 1024 * 1024
"""Text made by functions in one execution, printed or not."""
