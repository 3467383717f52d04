r"""Golden transcripts: one request's way through the proxy, all four sides of it, as a person reads it.

A transcript is a text file under `data/transcripts/`:

    # What it shows, in a line or more.
    === openai request
    POST /v1/chat/completions

    {"model": ...}
    === lorax request
    POST /generate

    {"inputs": ...}
    === lorax reply
    200
    content-type: application/json

    {"generated_text": ...}
    === openai reply
    200
    content-type: application/json

    {"id": ...}

A head is its first line and `name: value` lines up to the first empty line; the body is what follows
up to the next `===` line, without the one newline that stands before it. Bodies of requests are laid
out for reading and compared as JSON; bodies of replies are the very bytes. A reply that does not end
as it should says so: `=== lorax reply, cut`. Any number of LoRAX calls may follow one another.

`world.txt` holds the calls that a proxy may make at any time (`/info`, `/tokenize`, ...); a request
without a body there stands for any body. `world.jinja` is the chat template that all transcripts use.

What names a reply (ids, times) is no part of the contract: `settle` replaces it by fixed values.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lorax_contracts import loader
from lorax_contracts.errors import CannotRead, UnknownName
from lorax_contracts.exchange import End, Exchange

__all__ = [
    "CREATED",
    "Call",
    "Reply",
    "Request",
    "Transcript",
    "chat_template",
    "load",
    "parse",
    "render",
    "settle",
    "world",
]

CREATED = 1_700_000_000
"""`created` in every settled reply."""

_SECTION = re.compile(r"^=== (openai|lorax) (request|reply)(?:, (cut))?$")
_IDS = re.compile(rb'("id": ?")((?:chatcmpl|cmpl|call)[-_])[^"]*(")')
_CREATED = re.compile(rb'("created": ?)[0-9]+')


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `json` is None when a world's call stands for any body."""

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply and how its body ends."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    end: End = End.COMPLETE


@dataclass(frozen=True, slots=True)
class Call:
    """What the proxy asks LoRAX, and what LoRAX says."""

    request: Request
    reply: Reply

    def exchange(self) -> Exchange:
        """As the judge reads it."""
        return _exchange(self.request, self.reply)


@dataclass(frozen=True, slots=True)
class Transcript:
    """One conversation.

    Attributes:
        about: what it shows.
        request, reply: the client's side.
        calls: LoRAX's side, in order; none when the proxy answers by itself.
    """

    name: str
    about: str
    request: Request
    calls: tuple[Call, ...]
    reply: Reply

    def exchange(self) -> Exchange:
        """The client's side as the judge reads it."""
        return _exchange(self.request, self.reply)


def _exchange(request: Request, reply: Reply) -> Exchange:
    return Exchange(
        method=request.method,
        path=request.path,
        request=request.json,
        request_headers=request.headers,
        status=reply.status,
        headers=tuple(reply.headers.items()),
        body=reply.body,
        end=reply.end,
    )


@dataclass(slots=True)
class _Section:
    side: str
    kind: str
    end: End
    lines: list[str]

    def split(self, name: str) -> tuple[str, dict[str, str], str]:
        """First line, headers and body."""
        try:
            empty = self.lines.index("")
        except ValueError:
            empty = len(self.lines)
        head, body = self.lines[:empty], self.lines[empty + 1 :]
        if not head:
            raise CannotRead(f"transcript {name}: a {self.side} {self.kind} without a first line")
        headers: dict[str, str] = {}
        for line in head[1:]:
            key, colon, value = line.partition(": ")
            if not colon:
                raise CannotRead(f"transcript {name}: {line!r} is no header")
            headers[key] = value
        return head[0], headers, "\n".join(body)

    def request(self, name: str) -> Request:
        first, headers, body = self.split(name)
        method, _, path = first.partition(" ")
        try:
            document = json.loads(body) if body else None
        except ValueError as error:
            raise CannotRead(f"transcript {name}: {first}: {error}") from error
        return Request(method, path, document, headers)

    def reply(self, name: str) -> Reply:
        first, headers, body = self.split(name)
        if not first.isdecimal():
            raise CannotRead(f"transcript {name}: {first!r} is no status")
        return Reply(int(first), headers, body.encode("utf-8"), self.end)


def _sections(name: str, text: str) -> tuple[str, list[_Section]]:
    about: list[str] = []
    sections: list[_Section] = []
    for line in text.removesuffix("\n").split("\n"):
        match = _SECTION.match(line)
        if match:
            side, kind, cut = match.groups()
            sections.append(_Section(side, kind, End.CUT if cut else End.COMPLETE, []))
        elif sections:
            sections[-1].lines.append(line)
        elif line.startswith("#"):
            about.append(line.removeprefix("#").strip())
        else:
            raise CannotRead(f"transcript {name}: {line!r} stands before the first section")
    return "\n".join(about), sections


def _calls(name: str, sections: list[_Section]) -> tuple[Call, ...]:
    kinds = [section.kind for section in sections]
    if kinds != ["request", "reply"] * (len(kinds) // 2):
        raise CannotRead(f"transcript {name}: a lorax request is followed by its lorax reply")
    pairs = zip(sections[::2], sections[1::2], strict=True)
    return tuple(Call(asked.request(name), said.reply(name)) for asked, said in pairs)


def parse(name: str, text: str) -> Transcript:
    """Reads a transcript's text.

    Raises:
        CannotRead: it is not one; the message says where.
    """
    about, sections = _sections(name, text)
    sides = [(section.side, section.kind) for section in sections]
    if len(sides) < 2 or sides[0] != ("openai", "request") or sides[-1] != ("openai", "reply"):
        raise CannotRead(f"transcript {name}: starts with an openai request, ends with its reply")
    return Transcript(
        name=name,
        about=about,
        request=sections[0].request(name),
        calls=_calls(name, sections[1:-1]),
        reply=sections[-1].reply(name),
    )


def _head(first: str, headers: Mapping[str, str]) -> list[str]:
    return [first, *(f"{name}: {value}" for name, value in headers.items())]


def _request(side: str, request: Request) -> str:
    body = json.dumps(request.json, indent=2, ensure_ascii=False) if request.json else ""
    head = _head(f"{request.method} {request.path}", request.headers)
    return "\n".join([f"=== {side} request", *head, "", body])


def _reply(side: str, reply: Reply) -> str:
    cut = ", cut" if reply.end is End.CUT else ""
    head = _head(str(reply.status), reply.headers)
    return "\n".join([f"=== {side} reply{cut}", *head, "", reply.body.decode("utf-8")])


def render(transcript: Transcript) -> str:
    """The text that `parse` reads back as the same transcript."""
    about = "\n".join(f"# {line}".rstrip() for line in transcript.about.split("\n"))
    parts = [about, _request("openai", transcript.request)]
    for call in transcript.calls:
        parts += [_request("lorax", call.request), _reply("lorax", call.reply)]
    parts.append(_reply("openai", transcript.reply))
    return "\n".join(parts) + "\n"


@cache
def load(name: str) -> Transcript:
    """The packaged transcript of that name.

    Raises:
        UnknownName: there is none; the message names the nearest.
    """
    if name not in loader.transcript_names():
        raise UnknownName("transcript", name, loader.transcript_names())
    return parse(name, loader.text(f"transcripts/{name}.txt"))


@cache
def world() -> tuple[Call, ...]:
    """Calls that may come at any time, and their answers."""
    return _calls("world", _sections("world", loader.text("transcripts/world.txt"))[1])


def chat_template() -> str:
    """The Jinja chat template that all transcripts use."""
    return loader.text("transcripts/world.jinja")


def settle(body: bytes) -> bytes:
    """The body with ids numbered in order of appearance and `created` fixed.

    >>> settle(b'{"id":"chatcmpl-f00","created":1753000000}')
    b'{"id":"chatcmpl-0","created":1700000000}'
    """
    seen: dict[tuple[bytes, bytes], bytes] = {}
    counts: dict[bytes, int] = {}

    def number(match: re.Match[bytes]) -> bytes:
        before, kind, after = match.groups()
        key = (kind, match.group(0))
        if key not in seen:
            seen[key] = b"%d" % counts.get(kind, 0)
            counts[kind] = counts.get(kind, 0) + 1
        return before + kind + seen[key] + after

    return _CREATED.sub(rb"\g<1>%d" % CREATED, _IDS.sub(number, body))
