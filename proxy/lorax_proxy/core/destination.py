"""Where a request goes, read of its bytes before anything else is made of them.

The route decides what the rest is read for, and may have to wait for an upstream that is not known
yet, so no parsed document is held while it waits.
"""

import msgspec

from lorax_proxy.core.parsing import read_document
from lorax_proxy.errors import RequestRefused

__all__ = ["Destination", "read_destination"]

_NULL = msgspec.Raw(b"null")


class Destination(msgspec.Struct, frozen=True):
    """What a request says of its model.

    Attributes:
        model: Its public name.
        adapter_source: Where an adapter that is named by its id comes from, if that is said.
    """

    model: str
    adapter_source: str | None


class _Members(msgspec.Struct):
    """The members that say it, unread."""

    model: msgspec.Raw = _NULL
    adapter_source: msgspec.Raw = _NULL
    merged_adapters: msgspec.Raw = _NULL


_MEMBERS = msgspec.json.Decoder(_Members)
_STRING = msgspec.json.Decoder(str)


def read_destination(body: bytes) -> Destination:
    """What a body says of its model; the rest of it is skipped.

    Raises:
        RequestRefused: When it names no model; as `read_document` when it cannot be read so far.
    """
    try:
        members = _MEMBERS.decode(body)
        model, source = _text(members.model), _text(members.adapter_source)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # it has the words for what is wrong
        read_document(body)
        raise
    if model is None:
        missing = members.model == _NULL
        raise RequestRefused(
            "Missing required parameter: 'model'."
            if missing
            else "Invalid type for 'model': expected a string.",
            param="model",
            code="missing_required_parameter" if missing else "invalid_type",
        )
    # with a merge it is the merged adapters' source, and the model is the base
    return Destination(model, source if members.merged_adapters == _NULL else None)


def _text(value: msgspec.Raw) -> str | None:
    """A string; None for a value of any other type, which is not looked at."""
    return _STRING.decode(value) if bytes(value)[:1] == b'"' else None
