"""The fenced blocks of every page of the documentation: what a reader would paste, read as a program reads it.

Data parse, Python compiles, and each command of ours has that subcommand and these options; what others
make is taken at its name. Blocks that are executed besides have tests of their own.
"""

import ast
import functools
import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml

from tests.repo.readme import make_targets

__all__ = ["Fence", "fences", "wrong"]

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)

_OURS: Mapping[str, str] = {
    "lorax-proxy": "lorax_proxy",
    "lorax-mock": "lorax_mock",
    "lorax-contracts": "lorax_contracts",
    "lorax-openai": "lorax_openai",
}
"""Our commands and the packages that they start."""

_PASSED_ON: Mapping[str, Sequence[str]] = {
    "demo": ["lorax-proxy", "serve"],
    "proxy": ["lorax-proxy"],
    "mock": ["lorax-mock"],
    "check": ["lorax-contracts", "check"],
    "doctor": ["lorax-proxy", "config"],
}
"""What the commands of `lorax-openai` run."""

_OTHERS = frozenset(
    [
        "cat",
        "cd",
        "curl",
        "docker",
        "echo",
        "exit",
        "export",
        "for",
        "git",
        "go",
        "head",
        "mvn",
        "nginx",
        "node",
        "npm",
        "npx",
        "pip",
        "pipx",
        "python",
        "sleep",
        "source",
        "test",
        "uv",
    ]
)
"""What readers have or are told to install; shell words too."""

_UNREAD = frozenset({"text", "java", "go", "dockerfile", "html", "ini", "javascript", "typescript"})
"""Languages that no reader of ours checks."""


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: the line of its fence, its language and its text."""

    line: int
    language: str
    text: str


def fences(document: str) -> Iterator[Fence]:
    """The blocks of a page, those within lists too."""
    for found in _FENCE.finditer(document):
        indent, text = found["indent"], found["text"]
        if indent:
            text = re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        language = (found["info"].split() or [""])[0]
        yield Fence(document.count("\n", 0, found.start()) + 1, language, text)


def wrong(fence: Fence, root: Path) -> Iterator[str]:
    """What is wrong with a block, in a sentence each."""
    reader = _READERS.get(fence.language)
    if reader is not None:
        try:
            reader(fence.text)
        except (SyntaxError, ValueError, yaml.YAMLError) as error:
            yield f"no {fence.language}: {error}"
    elif fence.language in {"sh", "bash", "console"}:
        for command in _commands(fence):
            yield from _wrong_command(command, root)
    elif fence.language not in _UNREAD:
        yield f"a block of {fence.language!r}: name its language"


def _read_yaml(text: str) -> None:
    list(yaml.safe_load_all(text))


_READERS: Mapping[str, Callable[[str], object]] = {
    "python": ast.parse,
    "toml": tomllib.loads,
    "yaml": _read_yaml,
    "json": json.loads,
}


def _commands(fence: Fence) -> Iterator[list[str]]:
    """Each simple command of a shell block: its words, without assignments and redirections."""
    text = fence.text
    if fence.language == "console":
        text = "\n".join(re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE))
    text = re.sub(r"(^|  )#.*$", "", text.replace("\\\n", " "), flags=re.MULTILINE)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.commenters = ""
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "\n"]:
        if word and not set(word) - set("();|&\n"):
            while words and re.match(r"[A-Za-z_]\w*=|(then|do|else|exec|if|while|!)$", words[0]):
                del words[0]
            if words:
                yield words
            words = []
        else:
            words.append(word)


def _wrong_command(words: Sequence[str], root: Path) -> Iterator[str]:
    name, *rest = words
    if name in {"uvx", "pipx"}:
        yield from _wrong_command(_brought(name, rest), root)
    elif name == "make":
        for target in rest:
            if "=" not in target and target not in make_targets(root):
                yield f"make has no target {target!r}"
    elif name in _OURS:
        yield from _wrong_options(name, rest)
    elif name.rpartition("/")[2] not in _OTHERS | {"done", "fi", "seq"}:
        yield f"{name}: a command that nobody has heard of"


def _brought(name: str, words: Sequence[str]) -> Sequence[str]:
    """The command that an installer runs: `uvx 'lorax-openai[all]' demo`, `pipx run --spec X lorax-openai demo`."""
    rest = list(words[1:] if name == "pipx" else words)
    brought = None
    while rest and rest[0] in {"--from", "--spec", "--with"}:
        brought = rest[1]
        del rest[:2]
    if brought is None and rest:
        rest[0] = rest[0].partition("[")[0]
    return rest or ["lorax-openai"]


def _wrong_options(name: str, words: Sequence[str]) -> Iterator[str]:
    """Options that the command does not have; a command that it does not have."""
    given = [*words]
    if name == "lorax-openai" and given and given[0] in _PASSED_ON:
        name, *before = _PASSED_ON[given[0]]
        given = [*before, *given[1:]]
    path = [name]
    command = _command(_OURS[name])
    while (below := getattr(command, "commands", None)) and given and given[0][:1] != "-":
        if given[0] not in below:
            yield f"{' '.join(path)} has no command {given[0]!r}"
            return
        path.append(given[0])
        command = below[given.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in given:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in {"--", *known}:
            yield f"{' '.join(path)} has no option {option}"


@functools.cache
def _command(package: str) -> Any:
    """A package's commands as typer knows them: click's, or since 0.28 its own of the same form."""
    module = importlib.import_module(f"{package}.__main__")
    (cli,) = (value for value in vars(module).values() if isinstance(value, typer.Typer))
    return typer.main.get_command(cli)
