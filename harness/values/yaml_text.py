"""Parsing YAML text to nodes and plain values, with line numbers, and explaining YAML's surprises.

The rest of the project imports ``document.py``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date

import yaml

from harness.values.errors import Mistake
from harness.values.text import clean_text

_VAULT_HEADER = re.compile(r"\$ANSIBLE_VAULT;[0-9.]{1,9};[A-Z0-9]{1,20}")
_YAML_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = {_YAML_TAG + name for name in ("null", "bool", "int", "float", "binary", "timestamp", "str", "value")}
_MOST_VALUES = 200_000
"""Values in a file at most; 30,000 hosts have fewer. More of them could take a minute to read."""
_MOST_LEVELS = 100
"""Nesting levels of lists and mappings at most; far fewer than Python's stack allows."""
_MOST_DIGITS = 40
"""Digits of a number at most; Python itself refuses to convert 4,300."""
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OCTAL = re.compile(r"[-+]?0[0-7_]+\Z")

_Entry = tuple[object, yaml.Node, yaml.Node]
"""The key of a mapping's entry, its node, and the node of its value."""


@dataclass(frozen=True)
class Opaque:
    """A value with an unknown tag (such as ``!vault``): kept, but never interpreted or printed."""

    tag: str
    text: str = field(repr=False)

    def __str__(self) -> str:
        return "[redacted]"


_HINTS: tuple[tuple[str, str, str | None], ...] = (
    (r"'\\t' that cannot start", "a tab where only spaces are allowed", "indent with spaces; YAML does not take tabs"),
    (
        r"mapping values are not allowed",
        "a second ': ' in one value, or a line that is indented further than the one above",
        "put a value that holds ': ' in quotes, and give keys of one mapping the same indentation",
    ),
    (
        r"could not find expected ':'",
        "a key without ':' and a value",
        "write it as `key: value`, with a space after the colon",
    ),
    (
        r"expected <block end>|expected the node content|while parsing a block",
        "the indentation, or a list item or key, does not fit the lines above",
        "give keys of one mapping the same indentation, and do not mix `- items` with `key: value`",
    ),
    (
        r"expected ',' or|did not find expected",
        "a list [ … ] or mapping { … } is not closed, or a comma is missing",
        "close it, and put commas between its items",
    ),
    (r"found unknown escape character", "a backslash inside double quotes", "use single quotes: '…'"),
    (r"while scanning a quoted scalar", "a quote is opened but not closed", "close it with the same quote"),
    (
        r"character '[@`%]' that cannot start",
        "a value begins with a character that is reserved in YAML",
        "put it in quotes",
    ),
    (
        r"undefined alias|while scanning an alias|while scanning an anchor",
        "a value begins with * or &, which YAML reads as a reference",
        "put it in quotes, like '*.lab'",
    ),
    (r"expected a single document", "a second document begins here", "keep one document in a file: remove this `---`"),
    (r"special characters are not allowed", "a control character", "is this a text file in UTF-8?"),
)


class UnsafeText(str):
    """Text with Ansible's ``!unsafe`` tag: it is not a template."""

    __slots__ = ()


class _BoundedLoader(yaml.SafeLoader):
    """A YAML loader that refuses more values or deeper nesting than a file written by hand has."""

    _values = 0
    _levels = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one value and its children. Raises MarkedYAMLError if a bound is exceeded."""
        self._values, self._levels = self._values + 1, self._levels + 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._levels > _MOST_LEVELS:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        if self._values > _MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=_TOO_MANY, problem_mark=mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._levels -= 1
        return node


_TOO_DEEP = f"lists or mappings are nested more than {_MOST_LEVELS} deep"
_TOO_MANY = f"the file has more than {_MOST_VALUES} values"
_MULTIPLIED = f"the *references expand to more than {_MOST_VALUES} values"


def compose_text(text: str, file_name: str) -> tuple[yaml.Node | None, list[Mistake]]:
    """Parse a text. Returns (root node, syntax mistakes); the node is None for an empty text or with mistakes."""
    if _VAULT_HEADER.match(text):
        return yaml.ScalarNode("!vault", text, yaml.Mark(file_name, 0, 0, 0, None, 0)), []
    try:
        return yaml.compose(text, Loader=_BoundedLoader), []
    except yaml.YAMLError as error:
        return None, [_syntax_mistake(error, text, file_name)]


def _syntax_mistake(error: yaml.YAMLError, text: str, file_name: str) -> Mistake:
    """Return PyYAML's error as a mistake in plain words, with its line."""
    message, line = str(error), None
    if isinstance(error, yaml.MarkedYAMLError):
        message = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
    elif isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, int(error.position)) + 1
    if message in {_TOO_DEEP, _TOO_MANY}:
        return Mistake(file_name, line, message, "is this the right file?")
    for pattern, plain, hint in _HINTS:
        if re.search(pattern, message):
            return Mistake(file_name, line, f"not valid YAML: {plain}", hint)
    return Mistake(
        file_name, line, f"not valid YAML: {clean_text(message)}", "put the value in quotes, or leave it out"
    )


class Values:
    """Builder of plain values from nodes, once per node; collects mistakes."""

    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.mistakes: list[Mistake] = []
        self._built: dict[int, object] = {}
        self._entries: dict[int, dict[object, _Entry]] = {}
        self._merged = 0
        self._is_multiplied = False
        self._open: set[int] = set()
        self._weights: dict[int, tuple[int, int]] = {}
        self._scalars = yaml.SafeLoader("")

    def build(self, node: yaml.Node) -> object:
        """Return the plain value of a node."""
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._open:
            self._mistake(node, "a value that contains itself", "remove the *reference to the value that it stands in")
            return None
        self._open.add(id(node))
        value = self._construct(node)
        self._open.discard(id(node))
        self._weigh(node)
        self._built[id(node)] = value
        return value

    def _weigh(self, node: yaml.Node) -> None:
        """Count values and levels below a node, with all ``*references``: a small text can mean 10^39 values."""
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [child for _, _, child in self.entries(node)]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        below = [self._weights.get(id(child), (1, 1)) for child in children]
        weight = 1 + sum(values for values, _ in below)
        if weight > _MOST_VALUES >= max((values for values, _ in below), default=0):
            self._tell_multiplied(node)
        levels = 1 + max((levels for _, levels in below), default=0)
        if levels == _MOST_LEVELS + 1:
            self._mistake(node, _TOO_DEEP, "write the values out, without *references")
        self._weights[id(node)] = (weight, levels)

    def entries(self, node: yaml.MappingNode) -> Collection[_Entry]:
        """Return the entries of a mapping; those merged with ``<<`` come first."""
        return self._by_key(node).values()

    def entry(self, node: yaml.MappingNode, key: object) -> _Entry | None:
        """Return the entry of a key of a mapping; None if it has no such key."""
        return self._by_key(node).get(key)

    def _by_key(self, node: yaml.MappingNode) -> dict[object, _Entry]:
        if id(node) not in self._entries:
            self._entries[id(node)] = {}  # meanwhile: a mapping that is merged into itself adds nothing
            self._entries[id(node)] = self._read_entries(node)
        return self._entries[id(node)]

    def _construct(self, node: yaml.Node) -> object:
        if node.tag == "!unsafe" and isinstance(node, yaml.ScalarNode):
            return UnsafeText(node.value)
        if node.tag != "!unsafe" and node.tag not in _KNOWN_TAGS and not node.tag.startswith(_YAML_TAG):
            return Opaque(node.tag, node.value if isinstance(node, yaml.ScalarNode) else "")
        if isinstance(node, yaml.MappingNode):
            return {key: self.build(value) for key, _, value in self.entries(node)}
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item) for item in node.value]
        if node.tag == _YAML_TAG + "int" and len(node.value) > _MOST_DIGITS:
            self._mistake(node, f"a number of {len(node.value)} digits", "put it in quotes if it is text")
            return None
        try:
            value = self._scalars.construct_object(node)
            return _join_surrogates(value) if isinstance(value, str) else value
        except (ValueError, OverflowError, yaml.YAMLError):
            shown = clean_text(node.value, 60)
            self._mistake(node, f"`{shown}` cannot be read as {node.tag.removeprefix(_YAML_TAG)}", "put it in quotes")
            return None

    def _read_entries(self, node: yaml.MappingNode) -> dict[object, _Entry]:
        merged: dict[object, _Entry] = {}
        own: dict[object, _Entry] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _YAML_TAG + "merge":
                for entry in self._merged_entries(key_node, value_node):
                    merged.setdefault(entry[0], entry)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(key_node, "a list or mapping is used as a key", "quote it, like '{{ name }}'")
                continue
            key = self.build(key_node)
            if key in own:
                shown = clean_text(key, 60) if isinstance(key, str) else key
                first = own[key][1].start_mark.line + 1
                self._mistake(key_node, f"the key {shown!r} is repeated; it is set in line {first}", "keep one")
                continue
            own[key] = (key, key_node, value_node)
        return {**merged, **own}

    def _merged_entries(self, key_node: yaml.Node, node: yaml.Node) -> Iterator[_Entry]:
        """Yield the entries that are merged into a mapping: each mapping once, and a bounded number in all."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in {id(source): source for source in sources}.values():
            if not isinstance(source, yaml.MappingNode):
                self._mistake(source, "`<<` takes a mapping, or a list of mappings", "write it like `<<: *name`")
                continue
            found = self.entries(source)
            self._merged += len(found)
            if self._merged <= _MOST_VALUES:
                yield from found
            else:
                self._tell_multiplied(key_node)

    def _tell_multiplied(self, node: yaml.Node) -> None:
        """Add the mistake that references expand too much, once per file."""
        if not self._is_multiplied:
            self._mistake(node, _MULTIPLIED, "write the values out, or fewer of them")
        self._is_multiplied = True

    def _mistake(self, node: yaml.Node, message: str, hint: str | None) -> None:
        self.mistakes.append(Mistake(self.file_name, node.start_mark.line + 1, message, hint))


def _join_surrogates(text: str) -> str:
    """Return a text with surrogate pairs (from JSON escapes) joined. Raises ValueError for a lone surrogate."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16") if _SURROGATE.search(text) else text


def written_text(node: yaml.Node) -> str | None:
    """Return the text in the file of a plain (unquoted) scalar; None for anything else."""
    if isinstance(node, yaml.ScalarNode) and node.style is None:
        return str(node.value)
    return None


def surprise_of(node: yaml.Node) -> tuple[str, str] | None:
    """Return (what it became, what to write) if YAML 1.1 reads a plain scalar as something not meant; else None."""
    text = written_text(node)
    if text is None or node.tag not in {_YAML_TAG + "int", _YAML_TAG + "float"}:
        return None
    if _SEXAGESIMAL.match(text):
        return "a number in base 60", f'put it in quotes: "{text}"'
    if _OCTAL.match(text):
        return f"the octal number {int(text.replace('_', ''), 8)}", f'write {text.lstrip("0") or 0}, or "{text}"'
    return None


def describe(value: object, written: str | None = None) -> str:
    """Return a value as the user wrote it, shortened, and what YAML made of it if that differs."""
    if isinstance(value, Opaque):
        return f"a {value.tag} value, which cannot be read here"
    if value is None:
        return "nothing" if not written else f"`{written}` (YAML reads it as nothing)"
    if isinstance(value, bool):
        plain = "true" if value else "false"
        return (
            plain if written in (None, plain) else f"`{written}`, which YAML reads as {plain}: quote it if it is text"
        )
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, date):
        return f"`{written or value}`, which YAML reads as a date: quote it if it is text"
    if isinstance(value, int | float) and written is not None and written != str(value):
        return f"`{written}`, which YAML reads as the number {value}: quote it if it is text"
    text = str(value)
    short = text if len(text) <= 60 else text[:57] + "…"
    return f"the number {short}" if isinstance(value, int | float) else f"the text {short!r}"


def walk_scalars(values: Values, node: yaml.Node, seen: set[int] | None = None) -> Iterator[yaml.ScalarNode]:
    """Yield each scalar below a node once."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for _, _, child in values.entries(node):
            yield from walk_scalars(values, child, seen)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from walk_scalars(values, child, seen)
