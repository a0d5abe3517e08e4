"""What the text of a Go template tells of its model: what it can do, how it thinks and calls tools.

Contract: template.md section 8. Values in, values out.
"""

from collections.abc import Iterator
from dataclasses import replace

from ollamapy.modelfile.gotemplate import Template, nodes

DEFAULT_TOOL_TAG = "{"
_TOOL_ANSWERS = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")


def capabilities(template: Template) -> tuple[str, ...]:
    """What the template offers, in the contract's order: tools, insert, thinking."""
    found = {
        "tools": "tools" in template.identifiers,
        "insert": "suffix" in template.identifiers,
        "thinking": all(thinking_tags(template)),
    }
    return tuple(name for name, is_offered in found.items() if is_offered)


def has_tool_round_trip(template: Template) -> bool:
    """True when the template takes both the calls of tools and what the tools answered."""
    calls = {"tools", "toolcalls"} <= template.identifiers
    return calls and any(mark in template.source for mark in _TOOL_ANSWERS)


def thinking_tags(template: Template) -> tuple[str, str]:
    """The texts around the last `.Thinking` where `.Messages` are ranged over; empty when there are none."""
    opening = closing = ""
    for block in _blocks_with_thinking(template.root, template.root, None):
        first, last = block.nodes[0], block.nodes[-1]
        opening = first.text.strip() if isinstance(first, nodes.Text) else opening
        closing = last.text.strip() if isinstance(last, nodes.Text) else closing
    return opening, closing


def _blocks_with_thinking(node: nodes.Node, block: nodes.Block, loop: nodes.Range | None) -> Iterator[nodes.Block]:
    """For each `.Thinking` in reading order, the block that holds it, if the innermost range is over `.Messages`."""
    block = node if isinstance(node, nodes.Block) else block
    loop = node if isinstance(node, nodes.Range) else loop
    if isinstance(node, nodes.Field) and node.names[0] == "Thinking" and loop and _reads(loop.pipe, "Messages"):
        yield block
    for child in nodes.children(node):
        yield from _blocks_with_thinking(child, block, loop)


def _reads(node: nodes.Node, name: str) -> bool:
    return any(isinstance(part, nodes.Field) and name in part.names for part in nodes.walk(node))


def tool_tag(template: Template) -> str:
    """The text that opens a call; `{` when the model is to write bare JSON."""
    branch = next((node for node in _ifs(template.root) if _reads(node.pipe, "ToolCalls")), None)
    text = _first_text(branch.body) if branch else None
    return (text or "").replace("\r\n", "\n").split("{")[0].strip() or DEFAULT_TOOL_TAG


def _ifs(node: nodes.Node) -> Iterator[nodes.If]:
    return (part for part in nodes.walk(node) if isinstance(part, nodes.If))


def _first_text(block: nodes.Block | None) -> str | None:
    """The first text that is not blank, before anything is printed and in no block after the first."""
    for node in block.nodes if block else ():
        if isinstance(node, nodes.Text) and node.text.strip():
            return node.text
        if isinstance(node, nodes.Branch):
            return _first_text(node.body) or _first_text(node.otherwise)
        if isinstance(node, nodes.Action) and not node.pipe.declares:
            return None
    return None


def cut_after_response(block: nodes.Block) -> nodes.Block:
    """`block` up to the first `.Response` in it: the last turn of a chat ends where the model goes on.

    Conditions are not looked into. Nothing after it stays, in an `else` neither.
    """
    return _cut_block(block)[0]


def _cut_block(block: nodes.Block) -> tuple[nodes.Block, bool]:
    kept: list[nodes.Node] = []
    for node in block.nodes:
        shortened, is_cut = _cut(node)
        kept.append(shortened)
        if is_cut:
            return replace(block, nodes=tuple(kept)), True
    return block, False


def _cut(node: nodes.Node) -> tuple[nodes.Node, bool]:
    """What is left of `node`, and whether the end came inside it."""
    if isinstance(node, nodes.Branch):
        return _cut_branch(node)
    if isinstance(node, nodes.Action):
        pipe, is_cut = _cut_pipe(node.pipe)
        return replace(node, pipe=pipe), is_cut
    return node, False


def _cut_branch(node: nodes.Branch) -> tuple[nodes.Node, bool]:
    body, is_cut = _cut_block(node.body)
    if is_cut or not node.otherwise:
        return replace(node, body=body, otherwise=None if is_cut else node.otherwise), is_cut
    otherwise, is_cut = _cut_block(node.otherwise)
    return replace(node, otherwise=otherwise), is_cut


def _cut_pipe(pipe: nodes.Pipe) -> tuple[nodes.Pipe, bool]:
    commands: list[nodes.Command] = []
    for command in pipe.commands:
        arguments, is_cut = _cut_arguments(command.arguments)
        commands.append(replace(command, arguments=arguments))
        if is_cut:
            return replace(pipe, commands=tuple(commands)), True
    return pipe, False


def _cut_arguments(arguments: tuple[nodes.Node, ...]) -> tuple[tuple[nodes.Node, ...], bool]:
    kept: list[nodes.Node] = []
    for argument in arguments:
        is_cut = isinstance(argument, nodes.Field) and "Response" in argument.names
        if isinstance(argument, nodes.Pipe):
            argument, is_cut = _cut_pipe(argument)
        kept.append(argument)
        if is_cut:
            return tuple(kept), True
    return arguments, False
