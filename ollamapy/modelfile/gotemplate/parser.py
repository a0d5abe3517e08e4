"""Turns the text of a template into its parse tree, with Go's messages for what is wrong. It executes nothing.

Grammar: a block is text and actions; `define`s stand at the top only. An action is a keyword's form or a pipeline; a
pipeline is `$x :=` and commands between `|`; a command is operands between spaces; an operand is a term and `.fields`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate import nodes, quoting
from ollamapy.modelfile.gotemplate.lexer import Kind, Token, tokenize
from ollamapy.modelfile.gotemplate.limits import MAX_MESSAGE_CHARS, MAX_NESTING

_OPERANDS = frozenset(
    {
        Kind.BOOL,
        Kind.CHARACTER_CONSTANT,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.OPEN,
    }
)
_LITERALS = (nodes.Bool, nodes.Dot, nodes.Nil, nodes.Number, nodes.String)
_BRANCHES = {"if": nodes.If, "with": nodes.With, "range": nodes.Range}


def parse_trees(source: str, functions: frozenset[str]) -> Mapping[str, nodes.Block]:
    """The templates in `source` by name; the main one is `""`. Raises TemplateError."""
    parser = _Parser(source, functions)
    try:
        parser.parse_all()
    except RecursionError as error:
        raise TemplateError("template: the text is nested too deeply") from error
    return parser.trees


class _Parser:
    def __init__(self, source: str, functions: frozenset[str]) -> None:
        self.source = source
        self.functions = functions
        self.tokens = tokenize(source)
        self.index = 0
        self.trees: dict[str, nodes.Block] = {}
        self.variables = ["$"]
        self.range_depth = 0
        self.nesting = 0
        self.action_position = -1

    # Tokens.

    def next(self) -> Token:
        """The next token that is not a space; the last one again at the end."""
        token = self.peek()
        self.index += 1
        return token

    def peek(self) -> Token:
        """The next token that is not a space; spaces before it are gone."""
        while self.tokens[min(self.index, len(self.tokens) - 1)].kind is Kind.SPACE:
            self.index += 1
        return self.peek_any()

    def peek_any(self) -> Token:
        """The next token, which may be a space."""
        return self.tokens[min(self.index, len(self.tokens) - 1)]

    def is_next(self, kind: Kind, text: str) -> bool:
        token = self.peek()
        return token.kind is kind and token.text == text

    def line(self, position: int) -> int:
        return 1 + self.source.count("\n", 0, position)

    def error(self, message: str) -> TemplateError:
        """Go's error for a mistake at the last token read, ready to be raised."""
        last = self.tokens[max(0, min(self.index, len(self.tokens)) - 1)]
        return TemplateError(f"template: :{self.line(last.position)}: {message[:MAX_MESSAGE_CHARS]}")

    def unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind is not Kind.ERROR:
            return self.error(f"unexpected {token} in {context}")
        started = ""
        line = self.line(max(self.action_position, 0))
        if self.action_position >= 0 and line != self.line(token.position):
            started = f" in action started at :{line}"
            if token.text.endswith(" action"):
                started = started.removeprefix(" in action")
        return self.error(f"{token}{started}")

    def expect(self, kind: Kind, context: str) -> Token:
        token = self.next()
        if token.kind is not kind:
            raise self.unexpected(token, context)
        return token

    @contextmanager
    def nested(self, message: str = "the blocks are nested too deeply") -> Iterator[None]:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(message)
        yield
        self.nesting -= 1

    # Templates.

    def parse_all(self) -> None:
        found: list[nodes.Node] = []
        while self.peek().kind is not Kind.END_OF_FILE:
            start = self.index
            if self.next().kind is Kind.LEFT and self.is_next(Kind.KEYWORD, "define"):
                self.next()
                self.parse_definition()
                continue
            self.index = start
            node = self.text_or_action()
            if isinstance(node, Token):
                raise self.error(f"unexpected {{{{{node.text}}}}}")
            found.append(node)
        self.add("", nodes.Block(0, tuple(found)))

    def parse_definition(self) -> None:
        context = "define clause"
        name = self.template_name(self.next(), context)
        self.expect(Kind.RIGHT, context)
        self.add(name, self.own_block(context))

    def own_block(self, context: str) -> nodes.Block:
        """The body of a `define` or `block`, which sees no variable and no `range` around it."""
        variables, range_depth = self.variables, self.range_depth
        self.variables, self.range_depth = ["$"], 0
        with self.nested():
            body, end = self.block()
        if end.text != "end":
            raise self.error(f"unexpected {{{{{end.text}}}}} in {context}")
        self.variables, self.range_depth = variables, range_depth
        return body

    def add(self, name: str, tree: nodes.Block) -> None:
        """The second of two templates of one name counts when the first is blank; both with content is a mistake."""
        known = self.trees.get(name)
        if known is None or nodes.is_blank(known):
            self.trees[name] = tree
        elif not nodes.is_blank(tree):
            raise self.error(f"template: multiple definition of template {quoting.quote(name)}")

    def template_name(self, token: Token, context: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            raise self.unexpected(token, context)
        return self.unquoted(token)

    def unquoted(self, token: Token) -> str:
        try:
            return quoting.unquote(token.text)
        except ValueError as error:
            raise self.error(str(error)) from error

    # Blocks.

    def block(self) -> tuple[nodes.Block, Token]:
        """Nodes up to an `end` or `else`, and that keyword's token."""
        found: list[nodes.Node] = []
        position = self.peek().position
        while self.peek().kind is not Kind.END_OF_FILE:
            node = self.text_or_action()
            if isinstance(node, Token):
                return nodes.Block(position, tuple(found)), node
            found.append(node)
        self.next()
        raise self.error("unexpected EOF")

    def text_or_action(self) -> nodes.Node | Token:
        """A node, or the token of an `end` or `else`."""
        token = self.next()
        if token.kind is Kind.TEXT:
            return nodes.Text(token.position, token.text)
        if token.kind is not Kind.LEFT:
            raise self.unexpected(token, "input")
        self.action_position = token.position
        node = self.action()
        self.action_position = -1
        return node

    def action(self) -> nodes.Node | Token:
        token = self.peek()
        if token.kind is not Kind.KEYWORD or token.text == "define":
            return nodes.Action(token.position, self.pipeline("command", Kind.RIGHT))
        self.next()
        match token.text:
            case "if" | "with" | "range":
                return self.branch(token)
            case "template":
                return self.call(token)
            case "block":
                return self.block_call(token)
            case "break" | "continue":
                return self.jump(token)
            case "end":
                self.expect(Kind.RIGHT, "end")
            case "else":
                self.else_()
        return token

    def else_(self) -> None:
        """Leaves the `if` or `with` of `else if` and `else with` for the branch that it continues."""
        if not (self.is_next(Kind.KEYWORD, "if") or self.is_next(Kind.KEYWORD, "with")):
            self.expect(Kind.RIGHT, "else")

    def jump(self, token: Token) -> nodes.Node:
        name = f"{{{{{token.text}}}}}"
        if self.peek().kind is not Kind.RIGHT:
            raise self.unexpected(self.next(), name)
        self.next()
        if not self.range_depth:
            raise self.error(f"{name} outside {{{{range}}}}")
        return nodes.Break(token.position) if token.text == "break" else nodes.Continue(token.position)

    def branch(self, keyword: Token) -> nodes.Branch:
        num_variables = len(self.variables)
        with self.nested():
            pipe = self.pipeline(keyword.text, Kind.RIGHT)
            self.range_depth += keyword.text == "range"
            body, end = self.block()
            self.range_depth -= keyword.text == "range"
            otherwise = self.otherwise(keyword.text, end) if end.text == "else" else None
        del self.variables[num_variables:]
        return _BRANCHES[keyword.text](pipe.position, pipe, body, otherwise)

    def otherwise(self, context: str, end: Token) -> nodes.Block:
        """`else if` is an `if` alone inside the `else`, and its `end` ends both."""
        if context != "range" and self.is_next(Kind.KEYWORD, context):
            return nodes.Block(end.position, (self.branch(self.next()),))
        body, end = self.block()
        if end.text != "end":
            raise self.error(f"expected end; found {{{{{end.text}}}}}")
        return body

    def call(self, keyword: Token) -> nodes.Node:
        context = "template clause"
        name = self.template_name(self.next(), context)
        if self.peek().kind is Kind.RIGHT:
            raise self.error("undefined template specified")  # Go allows it, Ollama does not
        return nodes.Call(keyword.position, name, self.pipeline(context, Kind.RIGHT))

    def block_call(self, keyword: Token) -> nodes.Node:
        context = "block clause"
        name = self.template_name(self.next(), context)
        pipe = self.pipeline(context, Kind.RIGHT)
        self.add(name, self.own_block(context))
        return nodes.Call(keyword.position, name, pipe)

    # Pipelines.

    def pipeline(self, context: str, end: Kind) -> nodes.Pipe:
        position = self.peek().position
        declares, is_assignment = self.declarations(context)
        commands: list[nodes.Command] = []
        while (token := self.peek()).kind is not end:
            if token.kind not in _OPERANDS:
                raise self.unexpected(self.next(), context)
            commands.append(self.command())
        self.next()
        self.check(commands, context)
        return nodes.Pipe(position, declares, is_assignment, tuple(commands))

    def declarations(self, context: str) -> tuple[tuple[nodes.Variable, ...], bool]:
        found: list[nodes.Variable] = []
        while self.peek().kind is Kind.VARIABLE:
            start = self.index
            name = self.next()
            operator = self.peek()
            is_comma = operator.kind is Kind.CHARACTER and operator.text == ","
            if not is_comma and operator.kind not in (Kind.ASSIGN, Kind.DECLARE):
                self.index = start  # it is an argument
                break
            self.next()
            found.append(nodes.Variable(name.position, (name.text,)))
            self.variables.append(name.text)
            if not is_comma:
                return tuple(found), operator.kind is Kind.ASSIGN
            self.check_comma(context, len(found))
        return tuple(found), False

    def check_comma(self, context: str, count: int) -> None:
        if context != "range" or count > 1:
            raise self.error(f"too many declarations in {context}")
        if self.peek().kind not in (Kind.VARIABLE, Kind.RIGHT, Kind.CLOSE):
            raise self.error("range can only initialize variables")

    def check(self, commands: list[nodes.Command], context: str) -> None:
        if not commands:
            raise self.error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.arguments[0], _LITERALS):
                raise self.error(f"non executable command in pipeline stage {stage}")

    def command(self) -> nodes.Command:
        """Operands up to a `|`, which is taken, or an end, which is left."""
        position = self.peek().position
        found: list[nodes.Node] = []
        while True:
            operand = self.operand()
            if operand:
                found.append(operand)
            token = self.peek_any()
            self.index += token.kind not in (Kind.RIGHT, Kind.CLOSE)
            if token.kind is Kind.SPACE:
                continue
            if token.kind not in (Kind.RIGHT, Kind.CLOSE, Kind.PIPE):
                raise self.unexpected(token, "operand")
            break
        assert found, "the pipeline saw an operand"
        return nodes.Command(position, tuple(found))

    def operand(self) -> nodes.Node | None:
        term = self.term()
        if not term or self.peek_any().kind is not Kind.FIELD:
            return term
        position = self.peek_any().position
        names = []
        while self.peek_any().kind is Kind.FIELD:
            names.append(self.peek_any().text[1:])
            self.index += 1
        return self.with_fields(term, position, tuple(names))

    def with_fields(self, term: nodes.Node, position: int, names: tuple[str, ...]) -> nodes.Node:
        if isinstance(term, nodes.Field):
            return nodes.Field(position, term.names + names)
        if isinstance(term, nodes.Variable):
            return nodes.Variable(position, term.names + names)
        if isinstance(term, _LITERALS):
            raise self.error(f"unexpected . after term {quoting.quote(str(term))}")
        return nodes.Chain(position, term, names)

    def term(self) -> nodes.Node | None:
        token = self.peek()
        if token.kind not in _OPERANDS:
            return None
        self.next()
        position, text = token.position, token.text
        match token.kind:
            case Kind.IDENTIFIER:
                return self.function(token)
            case Kind.DOT:
                return nodes.Dot(position)
            case Kind.NIL:
                return nodes.Nil(position)
            case Kind.VARIABLE:
                return self.variable(token)
            case Kind.FIELD:
                return nodes.Field(position, (text[1:],))
            case Kind.BOOL:
                return nodes.Bool(position, text == "true")
            case Kind.NUMBER | Kind.CHARACTER_CONSTANT:
                return self.number(token)
            case Kind.OPEN:
                with self.nested("max expression depth exceeded"):
                    return self.pipeline("parenthesized pipeline", Kind.CLOSE)
        return nodes.String(position, text, self.unquoted(token))

    def function(self, token: Token) -> nodes.Node:
        if token.text not in self.functions:
            raise self.error(f"function {quoting.quote(token.text)} not defined")
        return nodes.Identifier(token.position, token.text)

    def variable(self, token: Token) -> nodes.Node:
        if token.text not in self.variables:
            raise self.error(f"undefined variable {quoting.quote(token.text)}")
        return nodes.Variable(token.position, (token.text,))

    def number(self, token: Token) -> nodes.Node:
        try:
            return nodes.Number(token.position, token.text, _number(token))
        except ValueError as error:
            raise self.error(str(error)) from error


def _number(token: Token) -> int | float:
    """The int or float that a literal stands for where nothing says which is wanted. Raises ValueError."""
    text = token.text
    if token.kind is Kind.CHARACTER_CONSTANT:
        return quoting.unquote_character(text)
    integer = quoting.parse_integer(text)
    if integer is not None and quoting.MIN_INT <= integer <= quoting.MAX_UINT:
        # Go looks for an exponent in the text, and only a hexadecimal number without a sign is safe from that.
        has_exponent = any(mark in text for mark in ".eEpP") and not text.startswith(("0x", "0X"))
        return float(integer) if has_exponent else integer
    number = quoting.parse_float(text)
    if number is None and integer is None:
        raise ValueError(f"illegal number syntax: {quoting.quote(text)}")
    if number is None or not any(mark in text for mark in ".eEpP"):
        raise ValueError(f"integer overflow: {quoting.quote(text)}")
    return number
