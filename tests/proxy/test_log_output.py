"""Lines to a pipe that nobody reads: taken without waiting, whole and in order when it is read."""

import io
import os
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

from lorax_proxy.log_output import LogOutput


@dataclass
class Pipe:
    """Both ends of a pipe, and what its output told."""

    reading: io.BufferedReader
    writing: io.TextIOWrapper
    dropped: int = 0
    recovered: list[int] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)

    def output(self, most_bytes: int = 100_000) -> LogOutput:
        """An output into it."""
        return LogOutput(
            self.writing, dropped=self.drop, recovered=self.recover, most_bytes=most_bytes
        )

    def drop(self) -> None:
        """Count a line that was dropped."""
        self.dropped += 1

    def recover(self, lines: int) -> None:
        """Note what was told of them."""
        self.recovered.append(lines)
        self.told.set()


@pytest.fixture
def pipe() -> Generator[Pipe]:
    """A pipe; it is closed with the test."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as writer:
        yield Pipe(reader, writer)


def test_lines_arrive_whole_and_in_order(pipe: Pipe) -> None:
    """Also those that came while others were written, and text that is not plain ASCII."""
    output = pipe.output()
    lines = [f"{number} é \udc80" for number in range(500)]
    for line in lines:
        output.info(line)
    read = [pipe.reading.readline() for _ in lines]
    assert read == [f"{n} é \\udc80\n".encode() for n in range(500)]
    assert pipe.dropped == 0


def test_a_pipe_that_nobody_reads_is_not_waited_for(pipe: Pipe) -> None:
    """What is beyond the pipe and the bound is dropped and counted; the rest comes when read."""
    output = pipe.output()
    line = "x" * 999
    for _ in range(1000):
        output.info(line)
    # the pipe holds some 64 KiB, the output 100,000 bytes, and the rest is gone
    kept = 1000 - pipe.dropped
    assert 100 <= kept <= 200
    for _ in range(kept):
        assert pipe.reading.readline() == line.encode() + b"\n"
    output.info("again")
    assert pipe.reading.readline() == b"again\n"
    assert pipe.told.wait(10)
    assert sum(pipe.recovered) == pipe.dropped


def test_the_end_waits_for_a_reader_and_not_for_ever(pipe: Pipe) -> None:
    """What is left is written before the program ends, unless nobody reads."""
    output = pipe.output()
    output.info("last")
    output.flush()
    assert os.read(pipe.reading.fileno(), 100) == b"last\n"
    output.info("and on")
    output.flush()
    assert os.read(pipe.reading.fileno(), 100) == b"and on\n"
    for _ in range(100):
        output.info("x" * 999)
    output.flush(0.01)


def test_a_reader_that_left_is_no_error(pipe: Pipe) -> None:
    """The lines are lost, and nothing else is."""
    output = pipe.output()
    pipe.reading.close()
    output.info("to nobody")
    output.flush()
    output.info("to nobody either")
    output.flush()
    with pytest.raises(OSError, match="Broken pipe"):
        os.write(pipe.writing.fileno(), b"x")


def test_a_stream_that_is_no_file_is_written_at_once() -> None:
    """Whoever captures it sees the line when the call returns."""
    stream = io.StringIO()
    LogOutput(stream, dropped=lambda: None, recovered=lambda _: None).warning("now")
    assert stream.getvalue() == "now\n"


def test_the_last_lines_of_a_program_are_written() -> None:
    """A program that ends right after a line has written it."""
    program = (
        "import sys; from lorax_proxy.log_output import LogOutput; "
        "LogOutput(sys.stderr, dropped=print, recovered=print).info('bye')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, check=True
    )
    assert done.stderr == b"bye\n"
