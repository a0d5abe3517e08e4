"""Every exception that ollamapy raises on purpose. Imports nothing.

Error                    500  something failed and we know what
├── InvalidInput         400  the caller sent something wrong; the text says what was wanted
│   ├── InvalidName      400  a model name that does not parse
│   ├── InvalidDigest    400  a digest that does not parse, or content that does not match it
│   └── PromptTooLong    400  the prompt does not fit the context
├── Refused              403  not allowed: a cloud feature, a blocked host
├── NotFound             404  no such model, blob or file
├── Cancelled            499  the caller went away, or the daemon is stopping
├── ModelFileError       500  a GGUF file that cannot be trusted or read
├── StoreError           500  the model directory could not be read or written
├── RemoteError          500  a model could not be fetched
├── TemplateError        500  a prompt template failed or broke its bounds
│   └── TemplateRefused  500  a prompt template raised on what it was given
├── LoadFailed           500  a runner could not load its model
│   └── OutOfMemory      500  there was not enough memory for it
├── RunnerDied           500  a runner ended while it served the request
├── Unsupported          501  understood, and not built yet
├── Busy                 503  the queue is full
└── Unreachable          —    client side: no daemon answers
"""


class Error(Exception):
    """An error with an HTTP `status`, a stable `code` for programs and an optional `hint`: what to do next."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(Error):
    status = 400
    code = "invalid_input"


class InvalidName(InvalidInput):
    code = "invalid_name"


class InvalidDigest(InvalidInput):
    code = "invalid_digest"


class PromptTooLong(InvalidInput):
    """Carries the prompt's length and the limit, in tokens."""

    code = "prompt_too_long"
    ways_out = "shorten the prompt, raise num_ctx, or use a model with a longer context"

    def __init__(self, message: str, *, num_prompt: int = 0, limit: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint or self.ways_out)
        self.num_prompt = num_prompt
        self.limit = limit


class Refused(Error):
    status = 403
    code = "refused"


class NotFound(Error):
    status = 404
    code = "not_found"


class Cancelled(Error):
    status = 499
    code = "cancelled"


class ModelFileError(Error):
    code = "model_file"

    def of_model(self, name: str) -> "ModelFileError":
        """The same for whoever asked for the model of this short name, in Ollama's words."""
        advice = f"If you previously pulled this model, try updating it by running `ollama pull {name}`"
        text = f"{self.message}: this model may be incompatible with your version of Ollama. {advice}"
        return ModelFileError(text, hint=self.hint)


class OptionError(Error):
    code = "option"


class StoreError(Error):
    code = "store"


class RemoteError(Error):
    code = "remote"


class TemplateError(Error):
    code = "template"


class TemplateRefused(TemplateError):
    pass


class LoadFailed(Error):
    code = "load_failed"


class OutOfMemory(LoadFailed):
    pass


class RunnerDied(Error):
    code = "runner_died"


class Unsupported(Error):
    status = 501
    code = "unsupported"


class Busy(Error):
    status = 503
    code = "busy"


class Unreachable(Error):
    code = "unreachable"
