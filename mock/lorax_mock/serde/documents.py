"""YAML and JSON that people and programs hand to the mock: scripts, adapters, workloads.

JSON is read as JSON, by the same reader as LoRAX's requests; YAML takes most JSON too, but not all of it as it was
meant: `1e3` is a text there, tabs between tokens are refused, and a pair of escapes, which is
how most JSON writers spell what lies beyond U+FFFF, is two characters that no encoding has. What is no JSON is
YAML, with such pairs joined. Half a pair is refused, in either: it can be neither said nor matched.
"""

from typing import Any

from lorax_mock.serde.reader import Reader, SerdeError

__all__ = ["Document", "DocumentError", "read_document"]


class DocumentError(Exception):
    """The text is neither JSON nor YAML, or has half a surrogate pair; the message tells line and reason."""


class Document(dict[str, Any]):
    """A mapping that knows its line and those of its keys."""

    def __init__(self, line: int = 0) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def put(self, key: str, value: Any, line: int) -> None:
        """Add an entry; raises DocumentError for a key that is there."""
        if key in self:
            raise DocumentError(f"line {line}: {key!r} twice")
        self[key] = value
        self.lines[key] = line


def read_document(text: str) -> Any:
    """The value in a text, its mappings as Documents, None if there is nothing; raises DocumentError."""
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        try:
            return _Json(text).whole()
        except (SerdeError, UnicodeEncodeError):
            pass  # flow style of YAML, or nothing at all: YAML's reader tells
    # Imported here: most mocks read no YAML, and start-up is counted in milliseconds.
    import yaml  # noqa: PLC0415 - see above

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if root is None else _Yaml(yaml.SafeLoader("")).value(root)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise DocumentError(f"{where}not YAML: {problem}") from None
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not YAML: {error}") from None


class _Json:
    """A walk over JSON that remembers lines."""

    def __init__(self, text: str) -> None:
        self._reader = Reader(text.encode())
        self._line = 1
        self._counted = 0

    def whole(self) -> Any:
        """The value, which nothing may follow; raises SerdeError."""
        value = self._value()
        if self._reader.peek() != -1:
            raise self._reader.ahead("trailing characters")
        return value

    def _here(self) -> int:
        """The line that the reader is on."""
        self._line += self._reader.data.count(b"\n", self._counted, self._reader.at)
        self._counted = self._reader.at
        return self._line

    def _value(self) -> Any:
        reader = self._reader
        byte = reader.peek()
        match byte:
            case 0x7B:
                return self._mapping()
            case 0x5B:
                return self._list()
            case 0x22:
                return reader.text()
            case 0x6E | 0x74 | 0x66:
                rest, value = _WORDS[byte]
                reader.at += 1
                reader.literal(rest)
                return value
            case _ if byte >= 0 and byte in b"-0123456789":
                return reader.number()
            case _:
                raise reader.ahead("expected value")

    def _mapping(self) -> Document:
        reader = self._reader
        out = Document(self._here())
        reader.enter()
        first = True
        while (key := reader.key(first=first)) is not None:
            line = self._here()
            reader.colon()
            out.put(key, self._value(), line)
            first = False
        reader.end_map()
        return out

    def _list(self) -> list[Any]:
        reader = self._reader
        reader.enter()
        out: list[Any] = []
        while reader.another_element(first=not out):
            out.append(self._value())
        reader.end_list()
        return out


_WORDS: dict[int, tuple[bytes, bool | None]] = {
    0x6E: (b"ull", None),
    0x74: (b"rue", True),
    0x66: (b"alse", False),
}


class _Yaml:
    """A walk over YAML's nodes."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def value(self, node: Any) -> Any:
        """The value of a node; raises DocumentError."""
        line = node.start_mark.line + 1
        match type(node).__name__:
            case "MappingNode":
                out = Document(line)
                for key_node, value_node in node.value:
                    key = str(self.value(key_node))
                    out.put(key, self.value(value_node), key_node.start_mark.line + 1)
                return out
            case "SequenceNode":
                return [self.value(item) for item in node.value]
            case _:
                value = self._loader.construct_object(node, deep=True)
                return _joined(value, line) if isinstance(value, str) else value


def _joined(text: str, line: int) -> str:
    """The text with escaped pairs as the characters that they stand for; raises DocumentError."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise DocumentError(
            f"line {line}: {text!r} has half of a surrogate pair, which is no character: write the "
            "character itself, or both halves"
        ) from None
