"""The pages of `show`. Pure: what /api/show answered in, text out.

1. Model: what it is and how big.
2. Capabilities, Projector, Parameters: where there are any.
3. Metadata and Tensors: when asked for everything.
4. System and License: their first lines.
"""

import textwrap
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ollamapy import units
from ollamapy.cli import render
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import ShowResponse

Row = tuple[str, ...]

HEAD_LINES = 2
TEXT_COLUMNS = 100
LIST_COLUMNS = 10
"""About as much of a list as Metadata shows."""
_WITHOUT_NEWLINE = {"system", "template"}


def one_field(answer: ShowResponse, field: str) -> str:
    """What `show --license` and its like print."""
    text: str = getattr(answer, field)
    return text if field in _WITHOUT_NEWLINE else text + "\n"


def check_fields(fields: Sequence[str]) -> None:
    """Raises InvalidInput when more than one field is asked for."""
    if len(fields) > 1:
        raise InvalidInput(
            "only one of '--license', '--modelfile', '--parameters', '--system', or '--template' can be specified"
        )


def page(answer: ShowResponse, *, is_verbose: bool = False) -> str:
    """Everything that `show` tells about a model."""
    sections: dict[str, list[Row]] = {
        "Model": _model(answer),
        "Capabilities": [(name,) for name in answer.capabilities],
        "Projector": _projector(answer.projector_info),
        "Parameters": [tuple(line.split()) for line in answer.parameters.splitlines() if line.strip()],
        "Metadata": _metadata(answer.model_info) if is_verbose else [],
        "Tensors": _tensors(answer) if is_verbose else [],
        "System": _head(answer.system),
        "License": _head(answer.license),
    }
    return "".join(f"  {title}\n{render.table(rows, '    ')}\n" for title, rows in sections.items() if rows)


def _model(answer: ShowResponse) -> list[Row]:
    info = answer.model_info
    architecture = info.get("general.architecture") or answer.details.family
    size = answer.details.parameter_size or _count(info.get("general.parameter_count"))
    fields = {
        "architecture": architecture,
        "parameters": size,
        "context length": info.get(f"{architecture}.context_length"),
        "embedding length": info.get(f"{architecture}.embedding_length"),
    }
    quantization = ("quantization", answer.details.quantization_level)
    return [*_filled(fields), quantization, *_filled({"requires": answer.requires})]


def _projector(info: Mapping[str, Any]) -> list[Row]:
    architecture = info.get("general.architecture", "")
    kind = "vision" if f"{architecture}.vision.embedding_length" in info else "audio"
    return _filled(
        {
            "architecture": architecture,
            "parameters": _count(info.get("general.parameter_count")),
            "embedding length": info.get(f"{architecture}.{kind}.embedding_length"),
            "dimensions": info.get(f"{architecture}.{kind}.projection_dim"),
        }
    )


def _filled(fields: Mapping[str, Any]) -> list[Row]:
    return [(name, _plain(value)) for name, value in fields.items() if value not in (None, "")]


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _count(value: Any) -> str:
    return units.format_count(int(value)) if isinstance(value, int | float) else ""


def _metadata(info: Mapping[str, Any]) -> list[Row]:
    return [(name, _value(info[name])) for name in sorted(info)]


def _tensors(answer: ShowResponse) -> list[Row]:
    return [(tensor.name, tensor.type, _bracketed(tensor.shape)) for tensor in answer.tensors]


def _head(text: str) -> list[Row]:
    """The first lines that say something, and a mark when there are more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = lines[:HEAD_LINES] + (["..."] if len(lines) > HEAD_LINES else [])
    return [(part,) for line in shown for part in textwrap.wrap(line, TEXT_COLUMNS)]


def _value(value: Any) -> str:
    """A value of the metadata as Go prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return go_number(value)
    if isinstance(value, list):
        return _shortened([_value(item) for item in value])
    return "<nil>" if value is None else str(value)


def _shortened(items: Sequence[str]) -> str:
    """The items that fit in about ten columns, at least one, and how many are left."""
    used, shown = 1, 0
    for item in items:
        used += render.width(item) + (2 if shown else 0)
        if shown and used > LIST_COLUMNS:
            break
        shown += 1
    left = len(items) - shown
    return _bracketed(items[:shown]).removesuffix("]") + (f" ...+{left} more]" if left else "]")


def _bracketed(items: Sequence[Any]) -> str:
    return f"[{' '.join(str(item) for item in items)}]"


def go_number(value: float) -> str:
    """A number in Go's `%g`: the shortest digits, with an exponent below 1e-4 and from 1e6 on."""
    exact = Decimal(repr(float(value))).normalize()
    exponent = exact.adjusted()
    if not exact or -4 <= exponent < 6:
        return format(exact, "f")
    mantissa = exact.scaleb(-exponent)
    return f"{mantissa:f}e{exponent:+03d}"
