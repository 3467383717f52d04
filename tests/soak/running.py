"""A soak: mock and proxy as processes, clients of every conduct, probes, and the report."""

import asyncio
import contextlib
import json
import math
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
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.soak.client import Client, get
from tests.soak.judging import Verdict, judge
from tests.soak.mix import LONGEST, Conduct, Expected, Mix, script

__all__ = ["Options", "Report", "soak"]

_PROBE_EVERY = 0.02
_WARM = 60.0
"""Seconds after which memory must be flat, once everybody is there."""
_FLAT = 1.10
"""Memory at the end of a phase over memory at its beginning."""

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
        deaf: Clients that ask for a long stream and never read. They come one by one in `arriving`
            seconds, since all at once they would be a load of their own, and the proxy leaves them
            after `patience` seconds: meanwhile they are all there.
        transport: The proxy's client towards LoRAX.
        requests: After how many it ends, even if time is left; 0 for none.
    """

    seconds: float = 60.0
    clients: int = 32
    faults: float = 0.15
    kept: int = 0
    deaf: int = 0
    seed: int = 1
    transport: str = "direct"
    requests: int = 0

    @property
    def arriving(self) -> float:
        """Seconds in which the deaf clients come."""
        return min(300.0, self.seconds / 10) if self.deaf else 0.0

    @property
    def patience(self) -> float:
        """Seconds that the proxy waits for a client that takes nothing (`client_write_timeout`)."""
        return self.seconds / 2

    @property
    def phases(self) -> Sequence[tuple[float, float]]:
        """When memory must be flat: with the deaf clients, and without them."""
        start = self.arriving + _WARM
        if not self.deaf:
            return [(start, self.seconds)]
        return [(start, self.patience), (self.patience + start, self.seconds)]


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
    under_way: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])
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
    def growths(self) -> Mapping[tuple[float, float], float]:
        """Memory at the end over memory at the beginning, of each phase that is long enough."""
        found: dict[tuple[float, float], float] = {}
        for start, end in self.options.phases:
            tenth = (end - start) / 10
            early = [size for at, size in self.memory if start <= at < start + tenth]
            late = [size for at, size in self.memory if end - tenth <= at < end]
            if end - start >= _WARM and early and late:
                found[start, end] = statistics.median(late) / statistics.median(early)
        return found

    @property
    def most_under_way(self) -> int:
        """How many requests had no whole answer at once."""
        return max((count for _, count in self.under_way), default=0)

    @property
    def still_under_way(self) -> int:
        """How many had none at the end, before the deaf clients went."""
        return self.under_way[-1][1] if self.under_way else 0

    def faults(self) -> list[str]:
        """Everything that is not as it has to be."""
        found = [
            f"{n} x {kind}: {verdict.value}, such as {self.examples[kind, verdict][-300:]!r}"
            for (kind, verdict), n in sorted(self.verdicts.items(), key=lambda each: each[0][0])
            if verdict is not Verdict.RIGHT
        ]
        for (start, end), growth in self.growths.items():
            if growth > _FLAT:
                found.append(f"memory grew by {growth - 1:.0%} from {start:.0f} to {end:.0f} s")
        deaf = self.options.deaf
        # the others have one each under way, most of the time
        if deaf and self.most_under_way < deaf + self.options.clients // 2:
            found.append(f"of {deaf} deaf clients no more than {self.most_under_way} were held up")
        # the last of them was held up some seconds after it came
        over = self.options.arriving + self.options.patience + _WARM < self.options.seconds
        if over and self.still_under_way > self.options.clients + 2:
            found.append(
                f"{self.still_under_way} requests under way when deaf clients must be left"
            )
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
        for (start, end), growth in self.growths.items():
            memory += f"; {growth - 1:+.1%} from {start:.0f} to {end:.0f} s"
        told = ", ".join(f"{self.count(v)} {v.value}" for v in Verdict)
        return [
            f"requests   {self.asked} in {self.options.seconds:.0f} s: {told}, {self.left} left",
            f"latency    {_spread(self.latencies)} (healthy answers)",
            f"/health    {_spread(self.probes)} (every {_PROBE_EVERY * 1000:.0f} ms)",
            f"memory     {memory}",
            f"under way  {self.most_under_way} at most, {self.still_under_way} at the end",
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
            async with _kept(port, options.kept) as kept:
                begun = time.monotonic()
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
                        _measure(report, port, pid, begun, tell),
                        _deaf(port, options),
                    ],
                )
                # what is held to time is held to the time that it took
                report.options = replace(options, seconds=time.monotonic() - begun)
                report.kept_lost = await _ask_kept(kept)
            report.not_let_go = await _settled(port, mock, pid, files)
            report.files = (files, _files(pid))
        report.bugs = _bugs(log)
    return report


def _bugs(log: Path) -> int:
    return log.read_text("utf-8", "replace").count('"event":"bug"')


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
        wanted = report.options.requests or math.inf
        while time.monotonic() - begun < report.options.seconds and report.asked < wanted:
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


async def _measure(
    report: Report, port: int, pid: int, begun: float, tell: Callable[[str], None]
) -> None:
    while True:
        at = time.monotonic() - begun
        report.memory.append((at, _memory(pid)))
        report.under_way.append((at, await _under_way(port)))
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
    """Clients that ask for a long stream and read nothing of it."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {len(LONGEST)}\r\n\r\n"
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
            writer.write(head.encode() + LONGEST)
            writers.append(writer)
            await asyncio.sleep(options.arriving / options.deaf)
        await asyncio.Event().wait()
    finally:
        for writer in writers:
            writer.transport.abort()


async def _settled(port: int, mock: int, pid: int, files: int) -> str:
    """Wait until nothing is under way any more; what still is, if that does not come."""
    end = time.monotonic() + _SETTLE
    left = "?"
    while time.monotonic() < end:
        active = await _under_way(port)
        journal = json.loads(await get(mock, "/_mock/journal"))
        open_ = sum(entry["outcome"] == "open" for entry in journal["entries"])
        many = _files(pid) - files - _IDLE_POOL - 8
        if not active and not open_ and many <= 0:
            return ""
        left = f"{active} requests, {open_} at LoRAX, {max(0, many)} files"
        await asyncio.sleep(0.2)
    return left


async def _under_way(port: int) -> int:
    """How many requests the proxy has not answered whole, this question apart."""
    metrics = (await get(port, "/metrics")).decode()
    found = re.search(r"^lorax_proxy_active_requests (\S+)", metrics, re.MULTILINE)
    assert found is not None
    return int(float(found[1])) - 1


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
                    "LORAX_PROXY_CLIENT_WRITE_TIMEOUT": str(options.patience),
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
