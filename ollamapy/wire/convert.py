"""What a conversion child and its parent say to each other: one JSON object a line, tagged by `type`.

Parent to child (stdin): one `Convert`. Child to parent (stdout): `Converted` or `ConvertFailed`.
The child ends after that, and when stdin does.
"""

import msgspec


class Convert(msgspec.Struct, frozen=True, tag=True):
    """Write the model in `folder` (safetensors, tokenizer, config) as a GGUF file at `output`."""

    folder: str
    output: str


class Converted(msgspec.Struct, frozen=True, tag=True):
    """The file at `output` is whole."""


class ConvertFailed(msgspec.Struct, frozen=True, tag=True):
    """There is no file. `message` says what was wanted and what was found."""

    message: str
    hint: str = ""


Event = Converted | ConvertFailed

request_decoder: msgspec.json.Decoder[Convert] = msgspec.json.Decoder(Convert)
event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
encode = msgspec.json.Encoder().encode
