"""Templates and data to try on two engines: mostly sound ones, with every action, function and printf verb.

Left out, because Go's answer is not a value: `%p` (an address), and slices of slices (what lies beyond their end).
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]


def _words(text: str) -> list[str]:
    return text.split()


TEXTS = st.one_of(
    st.sampled_from(["", "a", "user", "<b>&'\"", "é", "日本", "\n", "x y", "\u2028", "\U0001f600", "%d", "\x00\x1f"]),
    st.text("ab<é %\n\\\"`'\t\x7f日\U0001f600", max_size=6),
)
INTS = st.one_of(st.integers(-3, 6), st.sampled_from([65, 255, 1000000, -(2**63), 2**63 - 1, 0x1F600, 0xD800]))
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 1e6, 123456.5, 1e21, 1e-7, 1e-5, 2.5, 1e20, 5e-324, 1.7e308, 100000.25]),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS = st.one_of(st.none(), st.booleans(), INTS, FLOATS, TEXTS)
KEYS = st.sampled_from(["A", "B", "S", "N", "é"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
DATA = st.fixed_dictionaries(
    {
        "S": TEXTS,
        "N": INTS,
        "F": FLOATS,
        "T": st.booleans(),
        "Z": st.none(),
        "L": st.lists(SCALARS, max_size=4),
        "W": st.lists(TEXTS, max_size=4),
        "M": st.dictionaries(KEYS, VALUES, max_size=3),
        "Ms": st.lists(st.dictionaries(KEYS, SCALARS, max_size=3), max_size=3),
        "A": VALUES,
    }
)
ANY_FIELDS = st.sampled_from(_words(".S .N .F .T .Z .L .W .M .Ms .A .B .Nope .M.A .M.S .A.B.S .Z.A $.S.A"))
LITERALS = {
    "text": [
        *('"a"', '"user"', '""', "`raw\n\r`", '"<%>"'),
        *('"é\\t\\u00e9\\x41\\101"', '"\\xff\\xc3"', '"\\xa9"'),
    ],
    "int": _words("0 1 2 -1 +3 0x1F 0b11 0o17 017 1_000 'a' '\\n' 'é' 0xe5 -0 '\\xff'"),
    "float": _words("1.5 1e3 .5 1. 0x1p4 1_0.5 -0xe5 1e-7 123456789.0 +1E2"),
    "bool": ["true", "false"],
}
BIG = ["9223372036854775807", "-9223372036854775808", "+0x7fffffff"]
ODD = st.sampled_from(
    [
        *_words("08 0x 1__0 _1 1e400 9223372036854775808 99999999999999999999 1a 5.A 0b12 +0x1F 1e 0x1.8 1+2"),
        *("'ab'", "''", "'\\''", "'\"'", '"\\q"', '"\\400"', '"s".A', '"\\\'"', '"\\ud800"', "..", "nil.A", "#", ")"),
    ]
)
SPACES = st.sampled_from([" "] * 8 + ["  ", "\n", "\t", "\r\n "])
PLAIN = st.sampled_from(["", "x", " ", "\n", " a \n", "\t{ ", "} ", "é", "- ", "\r\n", "<|im_start|>", "/*", "}}"])
FLAGS = st.text("-+# 0", max_size=2)
SIZES = st.sampled_from(
    ["", "", "", "1", "5", "12", "*", ".", ".0", ".1", ".3", "6.2", "*.*", "-3", ".*", "[1]", "[2]*", "3.[1]"]
)
VERBS = st.sampled_from([*"sdvqtxXcUefgTbotOEGFw%!z", "é", "", "[2]d", "[1]v", "[9]d", "[x]d", "[", "[]", "."])
FORMATS = st.lists(
    st.one_of(PLAIN, st.tuples(st.just("%"), FLAGS, SIZES, VERBS).map("".join)), min_size=1, max_size=3
).map("".join)


KIND_FIELDS = {
    "text": [".S"],
    "int": [".N"],
    "float": [".F"],
    "bool": [".T"],
    "list": [".L", ".W", ".Ms"],
    "map": [".M"],
}
TEXT_CALLS = ["printf"] * 4 + ["print", "println", "html", "js", "urlquery", "json", "slice", "toTypeScriptType"]
TEXT_CALLS += ["and", "or", "currentDate"]
BOOL_CALLS = ["eq", "eq", "eq", "ne", "lt", "le", "gt", "ge", "not", "and", "or"]
FUNCTIONS = sorted({*TEXT_CALLS, *BOOL_CALLS, "len", "index", "call"})


def quoted(text: str) -> str:
    """`text` as a literal of Go's."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


class _Writer:
    """Writes one template; `names` are the variables declared so far."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.names: list[str] = ["$"]
        self.has_loop = False
        self.is_dot_root = True
        self.is_defining = False
        self.defined: list[str] = []

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def chance(self, percent: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) < percent)

    # Expressions. A kind is what the value mostly is; now and then it is something else.

    def root(self) -> str:
        """What to put before a field of the data."""
        return self.pick("", "$") if self.is_dot_root else "$"

    def operand(self, kind: str = "any", depth: int = 1) -> str:
        if self.draw(st.integers(0, 199)) == 77:
            return str(self.draw(st.one_of(ODD, ANY_FIELDS)))
        if kind == "any":
            return self.any_operand(depth)
        ways = ["field", "field", "literal" if kind in LITERALS else "field"] + ["call"] * 2 * (depth > 0)
        match self.pick(*ways):
            case "field":
                return self.root() + self.pick(*KIND_FIELDS[kind])
            case "literal":
                return str(self.pick(*LITERALS[kind]))
        return f"({self.call(kind, depth - 1)})" if self.chance(95) else f"({self.pipeline(depth - 1, kind)})"

    def any_operand(self, depth: int) -> str:
        match self.pick("dot", "variable", "variable", "nothing", "deep", *["kind"] * 5):
            case "dot":
                return "."
            case "variable":
                return str(self.pick(*self.names))
            case "nothing":
                return str(self.pick("nil", f"{self.root()}.Z", f"{self.root()}.Nope", *BIG))
            case "deep":
                return str(self.pick("$.M.A", "$.A", "($.M).A", "($.Z).A", "(index $.M `A`)", "($.A)", "$.Ms"))
        return self.operand(self.pick("text", "int", "float", "bool", "list", "map"), depth)

    def operands(self, least: int, most: int, depth: int, kind: str = "any") -> str:
        space = self.draw(SPACES)
        return space.join(self.operand(kind, depth) for _ in range(self.draw(st.integers(least, most))))

    def call(self, kind: str, depth: int) -> str:
        """A function call whose value is of this kind."""
        make = self.pick(*{"text": TEXT_CALLS, "int": ["len"], "bool": BOOL_CALLS}.get(kind, ["and", "or", "index"]))
        match make:
            case "printf":
                return f"printf {quoted(self.draw(FORMATS))} {self.operands(0, 3, depth)}"
            case "print" | "println" | "html" | "js" | "urlquery":
                return f"{make} {self.operands(0, 3, depth)}"
            case "json" | "toTypeScriptType" | "not":
                return f"{make} {self.operand('any', depth)}"
            case "slice":
                return (
                    f"slice {self.pick('$.S', '`héé`', '$.W', '$.L')} {self.pick('', '0', '0 0', '1', '0 1', '0 1 1')}"
                )
            case "len":
                return f"len {self.operand(self.pick('text', 'list', 'map'), depth)}"
            case "and" | "or":
                return f"{make} {self.operands(1, 3, depth, kind)}"
            case "index":
                return str(self.pick("index $.M `S`", "index $.M `A`", "index (printf `a%v` $.S) 0"))
            case "currentDate":
                return self.pick("currentDate", "yesterdayDate", "currentDate `x` $.S")
        same = self.pick("text", "text", "int", "float", "bool" if make in ("eq", "ne") else "text")
        more = 3 if make == "eq" else 1
        return f"{make} {self.operand(same, depth)} {self.operands(1, more, depth, same)}"

    def wild_call(self, depth: int) -> str:
        """Any function with any arguments."""
        return f"{'foo' if self.chance(1) else self.pick(*FUNCTIONS)} {self.operands(0, 4, depth)}"

    def pipeline(self, depth: int, kind: str = "any") -> str:
        if self.chance(2):
            first = self.wild_call(depth)
        elif self.chance(45):
            first = self.call(kind if kind != "any" else self.pick("text", "int", "bool", "map"), depth)
        else:
            first = self.operand(kind, depth)
        stages = [first, *(self.stage() for _ in range(self.pick(0, 0, 0, 0, 1, 1, 2)) if kind == "any")]
        return str(self.pick(" | ", "|", " |\n").join(stages))

    def stage(self) -> str:
        """What may follow a `|`."""
        if self.chance(4):
            return self.pick(self.wild_call(0), self.operand())
        form = quoted(self.draw(FORMATS))
        calls = [
            "print",
            "println 1",
            "html",
            "js `a`",
            "urlquery",
            "json",
            "not",
            "and 1",
            "or",
            "or .Z",
            "eq nil",
            "and",
        ]
        return str(self.pick(f"printf {form}", f"printf {form} 1", *calls))

    def declaration(self, name: str, depth: int) -> str:
        is_new = name not in self.names or self.chance(60)
        text = f"{name} {':=' if is_new or self.chance(3) else '='} {self.pipeline(depth)}"
        self.names.append(name)
        return text

    # Actions.

    def action(self, inside: str) -> str:
        left, right = self.pick("{{", "{{", "{{ ", "{{- ", "{{-\n"), self.pick("}}", "}}", " }}", " -}}", "\n-}}")
        return f"{left}{inside}{right}"

    def block(self, depth: int) -> str:
        return "".join(self.node(depth) for _ in range(self.draw(st.integers(0, 3))))

    def node(self, depth: int) -> str:
        kinds = ["text", "text", "print", "print", "print", "declare", "comment"]
        kinds += ["if", "if", "with", "range", "range", "call", "jump"] if depth > 0 else []
        kind = self.pick(*kinds)
        match kind:
            case "text":
                return str(self.draw(PLAIN))
            case "comment":
                return str(self.pick("{{/* c */}}", "{{- /* c\n */ -}}", "{{/**/ -}}"))
            case "print":
                return self.action(self.pipeline(2))
            case "declare":
                return self.action(self.declaration(self.pick("$x", "$y", "$é"), 1))
            case "call":
                return self.called()
            case "jump":
                is_sound = self.has_loop or self.chance(1)
                return self.action(self.pick("break", "continue")) if is_sound else ""
        return self.branch(kind, depth)

    def called(self) -> str:
        if self.is_defining:
            return ""
        if not self.defined or self.chance(3):
            return self.action('template "b" .') if self.chance(5) else ""
        name = self.pick(*self.defined)
        return self.action(f"template {quoted(name)} {'$' if self.chance(90) else self.pipeline(1)}")

    def branch(self, kind: str, depth: int) -> str:
        known, had_loop, was_root = len(self.names), self.has_loop, self.is_dot_root
        self.has_loop = had_loop or kind == "range"
        head = self.action(f"{kind} {self.head(kind)}")
        self.is_dot_root = was_root and kind == "if"
        text = head + self.block(depth - 1)
        self.is_dot_root, self.has_loop = was_root, had_loop
        while kind != "range" and self.chance(15):
            text += self.action(f"else {kind} {self.pipeline(1)}") + self.action(". | printf `%v`")
        if self.chance(40):
            text += self.action("else") + self.block(depth - 1)
        del self.names[known:]
        return text + self.action("end")

    def head(self, kind: str) -> str:
        if kind != "range":
            return self.declaration("$c", 1) if self.chance(20) else self.pipeline(1)
        over = self.pick("list", "list", "map", "count", "nothing", "other")
        text = {
            "count": self.pick("0", "2", "3", "(len $.S)", "'\\x02'"),
            "nothing": self.pick("$.Z", "$.Nope"),
            "other": self.pick("$.S", "$.F", "$.T", "$.Ms") if self.chance(10) else "$.Ms",
        }.get(over) or self.operand(over, 0)
        before = [name for name in ("$x", "$y") if name in self.names]
        declared = self.pick("", "", "$v := ", *["$i, $v := ", "$i , $v:="] * (over != "count" or self.chance(5)))
        if before and self.chance(20):
            declared = f"{before[0]} = "
        self.names += [name for name in ("$i", "$v") if name in declared]
        return f"{declared}{text}"

    def template(self) -> str:
        """The main template between the templates that it calls."""
        parts = []
        self.is_defining = True
        for name in ("t", "u"):
            if self.chance(25):
                self.names = ["$"]
                parts.append(self.action(f"define {quoted(name)}") + self.block(1) + "{{end}}")
                self.defined.append(name)
        self.names = ["$"]
        self.is_defining = False
        main = self.block(3) + self.block(3)
        if self.chance(10):
            self.is_defining, self.names, self.has_loop = True, ["$"], False
            main += self.action('block "b" $') + self.block(1) + "{{ end }}"
        parts.insert(self.pick(0, len(parts)), main)
        return "".join(parts)


@st.composite
def sound(draw: Draw) -> str:
    """A template that follows the grammar; what it computes may still fail."""
    return _Writer(draw).template()


@st.composite
def damaged(draw: Draw) -> str:
    """A template with a few characters lost, doubled or put in."""
    text = draw(sound())
    for _ in range(draw(st.integers(1, 3))):
        position = draw(st.integers(0, len(text)))
        put_in = draw(
            st.sampled_from(
                ["", "", "{{", "}}", "|", "(", ")", " ", "\n", ".", "$", '"', "`", "'", ":=", ",", "end", "é", "-"]
            )
        )
        text = text[:position] + put_in + text[position + draw(st.integers(0, 2)) :]
    return text


TEMPLATES = st.one_of(sound(), sound(), sound(), sound(), damaged())
