"""The README's fenced blocks, and what a reader would do with each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "blocks", "is_docker", "is_install", "is_make", "is_serving", "make_targets"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, its line, its text, and the output that is shown under it."""

    language: str
    line: int
    text: str
    output: str | None = None

    def commands(self) -> Iterator[str]:
        """The lines of a shell block without their comments."""
        for line in self.text.splitlines():
            command = line.partition("  #")[0].strip()
            if command and not command.startswith("#"):
                yield command


def blocks(document: str) -> Iterator[Block]:
    """The blocks of a document; a `text` block is the output of the one before it.

    Raises:
        ValueError: For output of nothing, and for a block whose language nobody would run.
    """
    waiting: Block | None = None
    for found in _FENCE.finditer(document):
        language, text = found[1], found[2]
        line = document.count("\n", 0, found.start()) + 1
        if language == "text":
            if waiting is None:
                raise ValueError(f"line {line}: output, but of what?")
            yield Block(waiting.language, waiting.line, waiting.text, text)
            waiting = None
            continue
        if waiting is not None:
            yield waiting
        if language not in {"sh", "python", "toml"}:
            raise ValueError(f"line {line}: a block of {language!r} is not tried by any test")
        waiting = Block(language, line, text)
    if waiting is not None:
        yield waiting


def is_make(block: Block) -> bool:
    """Whether it is about this repository's own commands."""
    return all(command.startswith("make ") for command in block.commands())


def is_docker(block: Block) -> bool:
    """Whether it is about the image."""
    return all(command.startswith("docker ") for command in block.commands())


def is_install(block: Block) -> bool:
    """Whether it brings the project, or runs it, by other people's installers."""
    return all(command.split()[0] in {"pip", "pipx", "uvx"} for command in block.commands())


def is_serving(block: Block) -> bool:
    """Whether it ends with a program that goes on until Ctrl-C."""
    return [*block.commands()][-1].partition(" ")[2].startswith("serve")


def make_targets(root: Path) -> set[str]:
    """What `make` can be told to make."""
    text = (root / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
