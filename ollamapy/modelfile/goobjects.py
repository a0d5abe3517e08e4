"""Messages, tools and calls as Go templates see them (contract: template.md section 6). Values in, values out.

The shapes are Ollama's structs: the order of their members is the order in JSON, and a name that is not a member is an
error in a template. Numbers inside arguments and schemas are floats, as Go's JSON reads them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import JsonList, JsonMap, Member, Record, Shape, TypeNames
from ollamapy.wire.native import Message, Tool, ToolCall

_MESSAGE = Shape(
    "*api.Message",
    (
        Member("Role", "role"),
        Member("Content", "content"),
        Member("Thinking", "thinking", is_optional=True),
        Member("Images", "images", is_optional=True),
        Member("ToolCalls", "tool_calls", is_optional=True),
        Member("ToolName", "tool_name", is_optional=True),
        Member("ToolCallID", "tool_call_id", is_optional=True),
    ),
)
_CALL = Shape("api.ToolCall", (Member("ID", "id", is_optional=True), Member("Function", "function")))
_CALL_FUNCTION = Shape(
    "api.ToolCallFunction", (Member("Index", "index"), Member("Name", "name"), Member("Arguments", "arguments"))
)
_TOOL = Shape(
    "api.Tool",
    (Member("Type", "type"), Member("Items", "items", is_optional=True), Member("Function", "function")),
    prints_json=True,
)
_FUNCTION = Shape(
    "api.ToolFunction",
    (Member("Name", "name"), Member("Description", "description"), Member("Parameters", "parameters")),
    prints_json=True,
)
_PARAMETERS = Shape(
    "api.ToolFunctionParameters",
    (
        Member("Type", "type"),
        Member("Defs", "$defs", is_optional=True),
        Member("Items", "items", is_optional=True),
        Member("Required", "required", is_optional=True),
        Member("Properties", "properties"),
    ),
    prints_json=True,
)
_PROPERTY = Shape(
    "api.ToolProperty",
    (
        Member("AnyOf", "anyOf", is_optional=True),
        Member("Type", "type", is_optional=True),
        Member("Items", "items", is_optional=True),
        Member("Description", "description", is_optional=True),
        Member("Enum", "enum", is_optional=True),
        Member("Properties", "properties", is_optional=True),
        Member("Required", "required", is_optional=True),
    ),
)


def messages(values: Iterable[Message]) -> list[Record]:
    """`.Messages`"""
    return [
        Record(
            _MESSAGE,
            {
                "Role": message.role,
                "Content": message.content,
                "Thinking": message.thinking,
                "Images": message.images,
                "ToolCalls": [_call(call) for call in message.tool_calls],
                "ToolName": message.tool_name,
                "ToolCallID": message.tool_call_id,
            },
        )
        for message in values
    ]


def tools(values: Sequence[Tool]) -> JsonList:
    """`.Tools`; empty, and so false, when none are offered."""
    return JsonList(_tool(tool) for tool in values)


def _call(call: ToolCall) -> Record:
    function = {
        "Index": call.function.index,
        "Name": call.function.name,
        "Arguments": JsonMap(as_go_reads(call.function.arguments)),
    }
    return Record(_CALL, {"ID": call.id, "Function": Record(_CALL_FUNCTION, function)})


def _tool(tool: Tool) -> Record:
    function = {
        "Name": tool.function.name,
        "Description": tool.function.description,
        "Parameters": _parameters(tool.function.parameters),
    }
    return Record(_TOOL, {"Type": tool.type, "Items": None, "Function": Record(_FUNCTION, function)})


def _parameters(schema: Mapping[str, Any]) -> Record:
    fields = {
        "Type": _text(schema.get("type")),
        "Defs": as_go_reads(schema.get("$defs")),
        "Items": as_go_reads(schema.get("items")),
        "Required": _texts(schema.get("required")),
        "Properties": _properties(schema.get("properties")),
    }
    return Record(_PARAMETERS, fields)


def _properties(schemas: Any) -> JsonMap:
    members = schemas if isinstance(schemas, Mapping) else {}
    return JsonMap({name: _property(schema) for name, schema in members.items()})


def _property(schema: Any) -> Record:
    """A property's schema; what has the wrong type counts as absent."""
    known = schema if isinstance(schema, Mapping) else {}
    choices, kinds, enum = known.get("anyOf"), known.get("type"), known.get("enum")
    fields = {
        "AnyOf": [_property(choice) for choice in choices] if isinstance(choices, list) else [],
        "Type": TypeNames([kinds] if isinstance(kinds, str) else _texts(kinds)),
        "Items": as_go_reads(known.get("items")),
        "Description": _text(known.get("description")),
        "Enum": as_go_reads(enum) if isinstance(enum, list) else [],
        "Properties": _properties(known.get("properties")),
        "Required": _texts(known.get("required")),
    }
    return Record(_PROPERTY, fields)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list | tuple) else []


def as_go_reads(value: Any) -> Any:
    """JSON with its integers as floats. Raises TemplateError for a number that no float holds."""
    if isinstance(value, Mapping):
        return {name: as_go_reads(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_go_reads(item) for item in value]
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except OverflowError as error:
        raise TemplateError("a number in the request is too large for a template") from error
