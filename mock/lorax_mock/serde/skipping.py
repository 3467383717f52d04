"""Skipping the values of unknown keys, checked only as far as serde_json checks them.

They must be JSON, but their depth is not limited and their surrogates are not looked at
(serde_json 1.0.132, `ignore_value` in src/de.rs and `ignore_str` in src/read.rs).
"""

from lorax_mock.serde.reader import ESCAPES, STRING, Reader

__all__ = ["skip"]


def skip(reader: Reader) -> None:
    """Move past one value; raises SerdeError."""
    closers: list[int] = []
    while True:
        byte = reader.peek()
        if byte == -1:
            raise reader.ahead("EOF while parsing a value")
        if byte == 0x22:
            _skip_text(reader)
        elif byte in b"-0123456789":
            reader.skip_number()
        elif byte in b"ntf":
            reader.at += 1
            reader.literal({0x6E: b"ull", 0x74: b"rue", 0x66: b"alse"}[byte])
        elif byte in b"[{":
            reader.at += 1
            closers.append(0x5D if byte == 0x5B else 0x7D)
            if reader.peek() != closers[-1]:
                if byte == 0x7B:
                    _skip_key(reader)
                continue
            reader.at += 1
            closers.pop()
        else:
            raise reader.ahead("expected value")
        if not _close(reader, closers):
            return


def _close(reader: Reader, closers: list[int]) -> bool:
    """After a skipped value: leave finished brackets; whether another value follows."""
    while closers:
        byte = reader.peek()
        if byte == closers[-1]:
            reader.at += 1
            closers.pop()
            continue
        in_list = closers[-1] == 0x5D
        if byte == -1:
            raise reader.ahead(f"EOF while parsing {'a list' if in_list else 'an object'}")
        if byte != 0x2C:
            raise reader.ahead(f"expected `,` or `{']' if in_list else '}'}`")
        reader.at += 1
        if not in_list:
            _skip_key(reader)
        return True
    return False


def _skip_key(reader: Reader) -> None:
    byte = reader.peek()
    if byte == -1:
        raise reader.ahead("EOF while parsing an object")
    if byte != 0x22:
        raise reader.ahead("key must be a string")
    _skip_text(reader)
    reader.colon()


def _skip_text(reader: Reader) -> None:
    match = STRING.match(reader.data, reader.at)
    if match and b"\\" not in match[0]:
        reader.at = match.end()
    else:
        _careful_skip(reader)


def _careful_skip(reader: Reader) -> None:
    reader.at += 1
    while True:
        if reader.at >= len(reader.data):
            raise reader.here("EOF while parsing a string")
        byte = reader.data[reader.at]
        if byte < 0x20:
            # Unlike in a string that is wanted, the byte itself is not counted.
            raise reader.here("control character (\\u0000-\\u001F) found while parsing a string")
        reader.at += 1
        if byte == 0x22:
            return
        if byte == 0x5C:
            if reader.at >= len(reader.data):
                raise reader.here("EOF while parsing a string")
            letter = reader.data[reader.at]
            reader.at += 1
            if letter == 0x75:
                reader.hex4()
            elif letter not in ESCAPES:
                raise reader.here("invalid escape")
