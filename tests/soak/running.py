"""A soak: mock and proxy as processes, clients of every conduct, probes, and the report."""

import asyncio
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.client import Client, get
from tests.soak.judging import Verdict, judge
from tests.soak.mix import Conduct, Expected, Mix, script

__all__ = ["Options", "Report", "soak"]

_PROBE_EVERY = 0.02
_FIRST_MINUTE = 60.0
_FLAT = 1.10
"""Memory at the end over memory after the first minute."""

_IDLE_POOL = 256
"""Connections to LoRAX that the proxy may keep (`upstream.direct`)."""

_DEAF_BUFFER = 4096
"""Bytes that the kernel takes for a client that reads nothing."""

_SETTLE = 20.0
"""Seconds within which everything must be let go of once the clients are gone."""


@dataclass(frozen=True, slots=True)
class Options:
    """How long, and how much.

    Attributes:
        seconds: How long the load lasts.
        clients: How many clients ask at once.
        faults: The share of requests whose upstream answer is faulty.
        kept: Connections that are opened before, kept open and used again at the end.
        deaf: Clients that ask for a long stream and never read.
        transport: The proxy's client towards LoRAX.
    """

    seconds: float = 60.0
    clients: int = 32
    faults: float = 0.15
    kept: int = 0
    deaf: int = 0
    seed: int = 1
    transport: str = "direct"


@dataclass(slots=True)
class Report:
    """What was seen."""

    options: Options
    verdicts: Counter[tuple[str, Verdict]] = field(default_factory=Counter[tuple[str, Verdict]])
    examples: dict[tuple[str, Verdict], bytes] = field(
        default_factory=dict[tuple[str, Verdict], bytes]
    )
    latencies: list[float] = field(default_factory=list[float])
    probes: list[float] = field(default_factory=list[float])
    memory: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
    left: int = 0
    files: tuple[int, int] = (0, 0)
    kept_lost: int = 0
    not_let_go: str = ""
    bugs: int = 0

    @property
    def asked(self) -> int:
        """How many requests were sent."""
        return self.verdicts.total() + self.left

    def count(self, verdict: Verdict) -> int:
        """How many answers got a verdict."""
        return sum(n for (_, each), n in self.verdicts.items() if each is verdict)

    @property
    def growth(self) -> float | None:
        """Memory in the last tenth of the time over memory after the first minute, if it lasted."""
        end = self.options.seconds
        after = [size for at, size in self.memory if _FIRST_MINUTE <= at < _FIRST_MINUTE * 1.5]
        late = [size for at, size in self.memory if at >= end * 0.9]
        if end < 2 * _FIRST_MINUTE or not after or not late:
            return None
        return statistics.median(late) / statistics.median(after)

    def faults(self) -> list[str]:
        """Everything that is not as it has to be."""
        found = [
            f"{n} x {kind}: {verdict.value}, such as {self.examples[kind, verdict][-300:]!r}"
            for (kind, verdict), n in sorted(self.verdicts.items(), key=lambda each: each[0][0])
            if verdict is not Verdict.RIGHT
        ]
        if self.growth is not None and self.growth > _FLAT:
            found.append(f"memory grew by {self.growth - 1:.0%} after the first minute")
        before, after = self.files
        if after > before + _IDLE_POOL + 8:
            found.append(f"{after} open files at the end, {before} at the start")
        if self.kept_lost:
            found.append(f"{self.kept_lost} kept connections did not answer at the end")
        if self.not_let_go:
            found.append(f"not let go of after {_SETTLE:.0f} s: {self.not_let_go}")
        if self.bugs:
            found.append(f"{self.bugs} lines of the log are bugs")
        return found

    def lines(self) -> list[str]:
        """The report, for people."""
        sizes = [size for _, size in self.memory] or [0]
        memory = f"{sizes[0]} -> {sizes[-1]} MB, most {max(sizes)}"
        if self.growth is not None:
            memory += f"; {self.growth - 1:+.1%} after the first minute"
        told = ", ".join(f"{self.count(v)} {v.value}" for v in Verdict)
        return [
            f"requests   {self.asked} in {self.options.seconds:.0f} s: {told}, {self.left} left",
            f"latency    {_spread(self.latencies)} (healthy answers)",
            f"/health    {_spread(self.probes)} (every {_PROBE_EVERY * 1000:.0f} ms)",
            f"memory     {memory}",
            f"files      {self.files[0]} -> {self.files[1]}",
            *(f"FAULT      {fault}" for fault in self.faults()),
        ]


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "most": 1.0}
    return ", ".join(
        f"{name} {1000 * ordered[min(len(ordered) - 1, int(len(ordered) * q))]:.1f} ms"
        for name, q in at.items()
    )


async def soak(options: Options, tell: Callable[[str], None] = lambda _line: None) -> Report:
    """Run one."""
    report = Report(options)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "proxy.log")
        with _processes(Path(folder), log, options) as (port, mock, pid):
            files = _files(pid)
            begun = time.monotonic()
            async with _kept(port, options.kept) as kept:
                await _beside(
                    [
                        *(
                            _client(
                                report, port, Mix(options.seed * 1000 + i, options.faults), begun
                            )
                            for i in range(options.clients)
                        ),
                    ],
                    [
                        _probe(report, port),
                        _measure(report, pid, begun, tell),
                        _deaf(port, options),
                    ],
                )
                report.kept_lost = await _ask_kept(kept)
            report.not_let_go = await _settled(port, mock, pid, files)
            report.files = (files, _files(pid))
        report.bugs = _bugs(log)
    return report


def _bugs(log: Path) -> int:
    return log.read_text("utf-8", "replace").count('"event": "bug"')


async def _beside(work: Sequence[Awaitable[None]], beside: Sequence[Awaitable[None]]) -> None:
    """Do the work; what goes on beside it ends with it."""
    others = [asyncio.ensure_future(each) for each in beside]
    try:
        await asyncio.gather(*work)
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _client(report: Report, port: int, mix: Mix, begun: float) -> None:
    client = Client(port)
    try:
        while time.monotonic() - begun < report.options.seconds:
            ask = mix.next()
            asked = time.monotonic()
            answer = await client.ask(ask)
            if answer is None:
                report.left += 1
                continue
            verdict = judge(ask, answer)
            report.verdicts[ask.kind, verdict] += 1
            report.examples.setdefault((ask.kind, verdict), answer.body)
            if ask.expected is Expected.COMPLETE and ask.conduct is Conduct.READS:
                report.latencies.append(time.monotonic() - asked)
    finally:
        client.close()


async def _probe(report: Report, port: int) -> None:
    streams = await asyncio.open_connection("127.0.0.1", port)
    try:
        while True:
            begun = time.monotonic()
            await get(port, "/health", streams)
            report.probes.append(time.monotonic() - begun)
            await asyncio.sleep(_PROBE_EVERY)
    finally:
        streams[1].transport.abort()


async def _measure(report: Report, pid: int, begun: float, tell: Callable[[str], None]) -> None:
    while True:
        at = time.monotonic() - begun
        report.memory.append((at, _memory(pid)))
        if len(report.memory) % 60 == 0:
            wrong = report.asked - report.count(Verdict.RIGHT) - report.left
            tell(f"{at:5.0f} s  {report.asked} requests, {wrong} wrong, {report.memory[-1][1]} MB")
        await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def _kept(
    port: int, count: int
) -> AsyncGenerator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """Connections that have been answered once and are kept open."""
    kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for _ in range(count):
            # asked at once: who says nothing for some seconds is not kept
            kept.append(await asyncio.open_connection("127.0.0.1", port))
            await get(port, "/health", kept[-1])
        yield kept
    finally:
        for _, writer in kept:
            writer.transport.abort()


async def _ask_kept(kept: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> int:
    """Ask again on each; how many do not answer."""
    lost = 0
    for streams in kept:
        try:
            async with asyncio.timeout(10):
                lost += await get(0, "/health", streams) != b'{"status":"ok"}'
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            lost += 1
    return lost


async def _deaf(port: int, options: Options) -> None:
    """Clients that ask for a long stream and read nothing of it, come one by one in the first half.

    All at once they would be a load of their own: a mock that says a thousand long texts together.
    """
    body = json.dumps(
        {
            "model": "",
            "stream": True,
            "max_tokens": 2000,
            "messages": [{"role": "user", "content": "Say [0|]"}],
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(options.deaf):
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DEAF_BUFFER)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            # a reader's limit is what asyncio itself would read ahead
            _, writer = await asyncio.open_connection(sock=sock, limit=1)
            writer.write(head.encode() + body)
            writers.append(writer)
            await asyncio.sleep(options.seconds / 2 / options.deaf)
        await asyncio.Event().wait()
    finally:
        for writer in writers:
            writer.transport.abort()


async def _settled(port: int, mock: int, pid: int, files: int) -> str:
    """Wait until nothing is under way any more; what still is, if that does not come."""
    end = time.monotonic() + _SETTLE
    left = "?"
    while time.monotonic() < end:
        metrics = (await get(port, "/metrics")).decode()
        # the question itself is one
        found = re.search(r"^lorax_proxy_active_requests (\S+)", metrics, re.MULTILINE)
        assert found is not None
        active = float(found[1]) - 1
        journal = json.loads(await get(mock, "/_mock/journal"))
        open_ = sum(entry["outcome"] == "open" for entry in journal["entries"])
        many = _files(pid) - files - _IDLE_POOL - 8
        if not active and not open_ and many <= 0:
            return ""
        left = f"{active:.0f} requests, {open_} at LoRAX, {max(0, many)} files"
        await asyncio.sleep(0.2)
    return left


@contextlib.contextmanager
def _processes(folder: Path, log: Path, options: Options) -> Generator[tuple[int, int, int]]:
    """A mock and a proxy before it: the proxy's port, the mock's port, the proxy's process id."""
    rules = folder / "script.json"
    rules.write_text(json.dumps(script()))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORAX_")}
    with contextlib.ExitStack() as stack:
        mock = stack.enter_context(
            _started(
                [
                    *("lorax_mock", "serve", "--port=0", "--max-concurrent-requests=4096"),
                    f"--script={rules}",
                ],
                environment,
                folder / "mock.log",
            )
        )
        mock_port = _port(mock)
        proxy = stack.enter_context(
            _started(
                [
                    *("lorax_proxy", "serve", "--port=0", "--allow-unlisted=any"),
                    f"--upstream=http://127.0.0.1:{mock_port}",
                ],
                {
                    **environment,
                    "LORAX_PROXY_TRANSPORT": options.transport,
                    "LORAX_PROXY_CLIENT_IDLE_TIMEOUT": str(options.seconds + 600),
                    "LORAX_PROXY_MAX_CONNECTIONS_PER_PEER": "16000",
                },
                log,
            )
        )
        yield _port(proxy), mock_port, proxy.pid


@contextlib.contextmanager
def _started(
    arguments: Sequence[str], environment: Mapping[str, str], log: Path
) -> Generator[subprocess.Popen[str]]:
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _port(process: subprocess.Popen[str]) -> int:
    """The port that a process says it listens on."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise AssertionError(f"it ended with {process.wait()} before it said where it listens")


def _memory(pid: int) -> int:
    """Resident memory, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
