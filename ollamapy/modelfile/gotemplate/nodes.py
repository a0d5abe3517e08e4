"""The parse tree of a template. Nodes are values: they say what was written and where, and print themselves as Go does.

`position` counts characters from the start of the text.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ollamapy.modelfile.gotemplate.quoting import quote


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a template."""

    position: int


@dataclass(frozen=True, slots=True)
class Text(Node):
    """Literal text."""

    text: str


@dataclass(frozen=True, slots=True)
class Block(Node):
    """Nodes that run one after the other."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Dot(Node):
    """`.`"""

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil(Node):
    """`nil`"""

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Bool(Node):
    """`true` or `false`."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number or a character; an int of more than 63 bits is an error once it is used."""

    text: str
    value: int | float

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class String(Node):
    """A quoted or raw string; `literal` is how it was written."""

    literal: str
    value: str

    def __str__(self) -> str:
        return self.literal


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """The name of a function."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Field(Node):
    """`.A.B` without its first point: `("A", "B")`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return "." + ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """`$x.A.B`: `("$x", "A", "B")`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Command(Node):
    """A function, field or value and its arguments."""

    arguments: tuple[Node, ...]

    def __str__(self) -> str:
        return " ".join(in_parens(argument) for argument in self.arguments)


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    """Commands, each given the value of the one before; it declares or assigns the variables in `declares`."""

    declares: tuple[Variable, ...]
    is_assignment: bool
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        names = ", ".join(str(variable) for variable in self.declares)
        operator = " = " if self.is_assignment else " := "
        return (names + operator if names else "") + " | ".join(str(command) for command in self.commands)


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """`(pipeline).A.B`"""

    operand: Node
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((in_parens(self.operand), *self.names))


@dataclass(frozen=True, slots=True)
class Action(Node):
    """`{{ pipeline }}`"""

    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """What `if`, `with` and `range` share."""

    pipe: Pipe
    body: Block
    otherwise: Block | None


@dataclass(frozen=True, slots=True)
class If(Branch):
    """`{{ if pipeline }}…{{ else }}…{{ end }}`"""


@dataclass(frozen=True, slots=True)
class With(Branch):
    """`{{ with pipeline }}…{{ else }}…{{ end }}`"""


@dataclass(frozen=True, slots=True)
class Range(Branch):
    """`{{ range pipeline }}…{{ else }}…{{ end }}`"""


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`{{ template "name" pipeline }}`"""

    name: str
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{template {quote(self.name)} {self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Break(Node):
    """`{{ break }}`"""


@dataclass(frozen=True, slots=True)
class Continue(Node):
    """`{{ continue }}`"""


def children(node: Node) -> Iterator[Node]:
    """The nodes directly inside `node`, in the order they were written; a chain's operand is not looked into."""
    match node:
        case Block():
            yield from node.nodes
        case Branch():
            yield node.pipe
            yield node.body
            if node.otherwise:
                yield node.otherwise
        case Action() | Call():
            yield node.pipe
        case Pipe():
            yield from node.commands
        case Command():
            yield from node.arguments


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything inside it, in reading order."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed([*children(current)]))


def is_blank(block: Block) -> bool:
    """True when a block holds nothing but white space."""
    return all(isinstance(node, Text) and not node.text.strip() for node in block.nodes)


def in_parens(node: Node) -> str:
    """A node as an operand is shown."""
    return f"({node})" if isinstance(node, Pipe) else str(node)
