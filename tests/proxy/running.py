"""The proxy as clients meet it: `create_app` behind uvicorn on a real socket, in the test's loop.

The LoRAX behind it is a `ScriptedServer`, so a test decides every byte and every silence of it, and
sees when it is left. The client is a plain socket that shows what arrived, byte by byte.

    async with ScriptedServer(lorax(stream=[Send(...)])) as upstream, running(upstream) as proxy:
        reply = await proxy.post("/v1/chat/completions", chat("hello", stream=True))
        assert reply.events[-1] == "[DONE]"

Clock and identities are fixed, so equal requests get equal bytes. An exception that reaches uvicorn
fails the test at the end: nothing of ours may get that far.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn

from lorax_proxy.app import create_app
from lorax_proxy.client import AsgiApp
from lorax_proxy.config import Settings, UpstreamSettings
from lorax_proxy.config_limits import ClientLimits
from lorax_proxy.door import Door
from lorax_proxy.observe import Observer
from lorax_proxy.serving import protocol
from lorax_proxy.upstream.transport import Transport
from tests.proxy.servers import (
    LAST_CHUNK,
    Fin,
    Script,
    ScriptedServer,
    Send,
    Step,
    by_path,
    chunk,
    event,
    event_stream,
    json_answer,
)

__all__ = [
    "INFO",
    "NOW",
    "Connection",
    "Proxy",
    "Reply",
    "chat",
    "ended",
    "failed",
    "final",
    "generation",
    "lorax",
    "request",
    "running",
    "served",
    "settings_for",
    "token",
    "tokens",
]

PATIENCE = 10.0
"""Seconds after which a test that waits for the proxy has failed."""

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

INFO: Mapping[str, Any] = {
    "model_id": "mistralai/Mistral-7B-Instruct-v0.2",
    "model_sha": None,
    "model_dtype": "torch.float16",
    "model_device_type": "cuda",
    "model_pipeline_tag": "text-generation",
    "max_concurrent_requests": 128,
    "max_best_of": 2,
    "max_stop_sequences": 4,
    "max_input_length": 1023,
    "max_total_tokens": 1024,
    "waiting_served_ratio": 1.2,
    "max_batch_total_tokens": 100000,
    "max_waiting_tokens": 20,
    "validation_workers": 2,
    "eager_prefill": True,
    "version": "0.1.0",
    "sha": None,
    "docker_label": None,
    "request_logger_url": None,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; header names in lower case, the body as its framing delivered it.

    Attributes:
        complete: Whether the body ended as its framing promised.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    def json(self) -> Any:
        """The body as a document."""
        return json.loads(self.body)

    @property
    def error(self) -> Mapping[str, Any]:
        """OpenAI's error envelope: exactly its four keys."""
        document = self.json()
        assert set(document) == {"error"}, document
        assert set(document["error"]) == {"message", "type", "param", "code"}, document
        error: Mapping[str, Any] = document["error"]
        return error

    @property
    def events(self) -> list[str]:
        """The data of a stream's events; comments are left out."""
        text = self.body.decode()
        assert not text or text.endswith("\n\n"), text
        return [
            block.removeprefix("data: ") for block in text.split("\n\n") if block.startswith("data")
        ]

    @property
    def chunks(self) -> list[Any]:
        """The events that are documents."""
        return [json.loads(data) for data in self.events if data != "[DONE]"]


@dataclass
class Connection:
    """One client connection that reads only when it is asked to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _head: bytes = b""

    async def send(self, data: bytes) -> None:
        """Write raw bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, mark: bytes) -> bytes:
        """Read up to and with the next `mark`."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(mark)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read a status line and headers; interim answers are passed over."""
        while True:
            lines = (await self.until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                fields = (line.partition(":") for line in lines[1:] if line)
                return status, {name.lower(): text.strip() for name, _, text in fields}

    async def reply(self, *, bodiless: bool = False) -> Reply:
        """Read one whole answer; the connection stays open if the proxy keeps it open."""
        status, headers = await self.head()
        if bodiless:
            return Reply(status, headers, b"")
        async with asyncio.timeout(PATIENCE):
            try:
                if "content-length" in headers:
                    body = await self.reader.readexactly(int(headers["content-length"]))
                    return Reply(status, headers, body)
                if "transfer-encoding" not in headers:
                    return Reply(status, headers, await self.reader.read())
                return Reply(status, headers, await self._chunks())
            except asyncio.IncompleteReadError as error:
                return Reply(status, headers, error.partial, complete=False)

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            try:
                size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
                body += (await self.reader.readexactly(size + 2))[:-2]
            except asyncio.IncompleteReadError as error:
                raise asyncio.IncompleteReadError(body, None) from error
            if not size:
                return body

    async def at_end(self) -> bool:
        """Whether the proxy has closed the connection and nothing more came."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read() == b""

    def pause(self) -> None:
        """Read nothing from the socket until something is asked for."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.ReadTransport)
        transport.pause_reading()

    def leave(self) -> None:
        """Close without reading what is left."""
        self.writer.transport.abort()


@dataclass
class Proxy:
    """A proxy that listens."""

    port: int
    _connections: list[Connection] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def connect(self, *, receive_buffer: int | None = None) -> Connection:
        """A new connection; it is closed with the proxy."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        connection = Connection(*await asyncio.open_connection(sock=sock, limit=2**24))
        self._connections.append(connection)
        return connection

    async def open(self, method: str, path: str, body: object = None, **headers: str) -> Connection:
        """Send a request and leave its answer unread."""
        connection = await self.connect()
        await connection.send(request(method, path, body, **headers))
        return connection

    async def request(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send a request and read its answer."""
        connection = await self.open(method, path, body, **headers)
        reply = await connection.reply(bodiless=method == "HEAD")
        connection.leave()
        return reply

    async def post(self, path: str, body: object, **headers: str) -> Reply:
        """POST a document, or bytes as they are."""
        return await self.request("POST", path, body, **headers)

    async def get(self, path: str, **headers: str) -> Reply:
        """GET a path."""
        return await self.request("GET", path, **headers)

    def disconnect(self) -> None:
        """Close every client connection."""
        for connection in self._connections:
            connection.leave()


def request(method: str, path: str, body: object = None, **headers: str) -> bytes:
    """A request's bytes; underscores in header names stand for dashes, "" leaves one out."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"host": "localhost"}
    if body is not None:
        fields |= {"content-type": "application/json", "content-length": str(len(data))}
    fields |= {name.replace("_", "-"): text for name, text in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{n}: {text}" for n, text in fields.items() if text)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


def settings_for(*upstreams: ScriptedServer, **settings: Any) -> Settings:
    """Settings whose upstreams are these servers, unless the keywords say otherwise."""
    named = ("default", "second", "third")
    defaults: dict[str, Any] = {
        "upstream": [
            UpstreamSettings(url=server.url, name=name)
            for server, name in zip(upstreams, named, strict=False)
        ],
        "log_level": "warning",
    }
    return Settings(**{**defaults, **settings})


@contextlib.asynccontextmanager
async def running(
    *upstreams: ScriptedServer,
    open_transport: Callable[[UpstreamSettings], Transport] | None = None,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    **settings: Any,
) -> AsyncGenerator[Proxy]:
    """A proxy in front of scripted servers, with fixed clock and counted identities."""
    numbers = itertools.count()
    chosen = settings_for(*upstreams, **settings)
    app = create_app(
        chosen,
        now=lambda: NOW,
        new_id=lambda: f"{next(numbers):024d}",
        open_transport=open_transport,
        pause=pause,
    )
    async with served(app, limits=chosen) as proxy:
        yield proxy


@contextlib.asynccontextmanager
async def served(
    app: AsgiApp, *, limits: ClientLimits | None = None, observer: Observer | None = None
) -> AsyncGenerator[Proxy]:
    """An application behind the server's own connections on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    door = Door(limits or ClientLimits(), observer or Observer("error"))
    server = _Server(
        uvicorn.Config(
            app,
            http=protocol(door),
            ws="none",
            access_log=False,
            log_config=None,
            lifespan="on",
            server_header=False,
            date_header=False,
        ),
        door,
    )
    with _uncaught() as uncaught:
        serving = asyncio.create_task(server.serve([listener]))
        await asyncio.wait(
            {serving, asyncio.create_task(server.listening.wait())},
            return_when=asyncio.FIRST_COMPLETED,
        )
        proxy = Proxy(listener.getsockname()[1])
        try:
            yield proxy
        finally:
            proxy.disconnect()
            server.ended.set()
            await serving
    assert not uncaught, uncaught


class _Server(uvicorn.Server):
    """uvicorn without its signals, its ticks and its tenths of seconds."""

    def __init__(self, config: uvicorn.Config, door: Door) -> None:
        super().__init__(config)
        self._door = door
        self.listening = asyncio.Event()
        self.ended = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        await self.ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._door.close(self.server_state.tasks, within=PATIENCE)
        await self.lifespan.shutdown()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.contextmanager
def _uncaught() -> Generator[list[str]]:
    """The exceptions that an application let through to uvicorn."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                found.append(f"{record.getMessage()}: {record.exc_info}")

    logger, handler = logging.getLogger("uvicorn.error"), Keep()
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def lorax(
    *,
    stream: Script | Sequence[Step] = (),
    generate: Script | Sequence[Step] = (),
    info: Mapping[str, Any] = INFO,
    more: Mapping[str, Script | Sequence[Step]] | None = None,
) -> Script:
    """A LoRAX that knows itself: `/info`, and a `/tokenize` whose tokens are characters.

    With special tokens it adds `<s>` in front, as Mistral's and Llama's tokenizers do.
    """

    def tokenize(asked: Any) -> Sequence[Step]:
        document = asked.json()
        pieces = ["<s>"] if document["add_special_tokens"] else []
        pieces += document["inputs"]
        return [
            Send(
                json_answer(
                    [{"id": ord(piece[-1]) + 1000 * len(piece), "text": piece} for piece in pieces]
                )
            )
        ]

    return by_path(
        {
            "/info": [Send(json_answer(info))],
            "/tokenize": tokenize,
            "/generate_stream": stream,
            "/generate": generate,
            **(more or {}),
        }
    )


def token(text: str, *, special: bool = False, **more: object) -> dict[str, Any]:
    """One token as LoRAX reports it."""
    return {"id": 1, "text": text, "logprob": -0.5, "special": special, "skipped": False, **more}


def final(
    text: str, reason: str = "eos_token", *, prompt: int = 7, count: int = 3, special: bool = True
) -> bytes:
    """The event that ends a stream well."""
    details = {"finish_reason": reason, "prompt_tokens": prompt, "generated_tokens": count}
    return event(
        {
            "token": token(text, special=special),
            "generated_text": "whatever",
            "details": {**details, "seed": None},
        }
    )


def tokens(*texts: str) -> bytes:
    """The events of visible tokens."""
    return b"".join(
        event({"token": token(text), "generated_text": None, "details": None}) for text in texts
    )


def failed(error_type: str, error: str) -> bytes:
    """LoRAX's in-band error event."""
    return event({"error": error, "error_type": error_type})


def ended(*texts: str, reason: str = "eos_token", **headers: str) -> list[Step]:
    """A whole stream: these tokens, one that nobody sees, the end."""
    unseen = "</s>" if reason == "eos_token" else "<unk>"
    data = tokens(*texts) + final(unseen, reason, count=len(texts) + 1)
    return [Send(event_stream(**headers) + chunk(data) + LAST_CHUNK)]


def cut(*texts: str) -> list[Step]:
    """A stream that ends well as HTTP, but before its final event."""
    return [Send(event_stream() + chunk(tokens(*texts)) + LAST_CHUNK), Fin()]


def generation(
    *texts: str, reason: str = "eos_token", prompt: int = 7, **details: object
) -> dict[str, Any]:
    """The document that `/generate` answers."""
    return {
        "generated_text": "".join(texts),
        "details": {
            "finish_reason": reason,
            "prompt_tokens": prompt,
            "generated_tokens": len(texts) + 1,
            "skipped_tokens": 0,
            "seed": None,
            "prefill": [],
            "tokens": [*(token(text) for text in texts), token("</s>", special=True)],
            **details,
        },
    }


def chat(text: str = "hi", **parameters: object) -> dict[str, Any]:
    """A chat request to the base model, or to `model`."""
    messages = [{"role": "user", "content": text}]
    return {"model": INFO["model_id"], "messages": messages, **parameters}
