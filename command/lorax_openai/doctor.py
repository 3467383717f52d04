"""`lorax-openai doctor`: what is installed here, then what the proxy's settings lead to.

The second part is `lorax-proxy config --probe`, whose options it takes: it asks the servers, and each
configured model for one token.
"""

import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Final

from lorax_openai.commands import PROXY

__all__ = ["examine", "lacking"]

_NAME: Final = "lorax-openai"

_FOR: Final = {
    "proxy": "lorax-proxy",
    "mock": "lorax-mock",
    "contracts": "lorax-contracts, lorax-openai check",
    "pytest": "the fixtures of pytest's plugin",
    "tokenizers": "lorax-mock serve --tokenizer",
}
"""What each extra is for."""


def examine(arguments: Sequence[str]) -> None:
    """Print what is installed, then run the proxy's own check.

    Raises:
        SystemExit: With the check's exit code; 1 when the proxy is not installed.
    """
    _say(
        f"{_NAME} {metadata.version(_NAME)}, Python {platform.python_version()} ({sys.executable})"
    )
    missing = dict(lacking(metadata.requires(_NAME) or ()))
    for extra, use in _FOR.items():
        if extra in missing:
            names = ", ".join(missing[extra])
            _say(f"note   {use}: needs {names}: pip install '{_NAME}[{extra}]'")
        else:
            _say(f"ok     {use}")
    if PROXY.extra in missing:
        sys.exit(1)
    PROXY.run("config", "--probe", *arguments)


def lacking(requirements: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Each extra that is not whole, and the distributions that it lacks.

    Args:
        requirements: The project's, as its metadata spell them; `lorax-openai[mock]; extra == 'pytest'`
            puts one extra into another, which some builders write out and some leave to the installer.
    """
    missing: dict[str, dict[str, None]] = {}
    parts: dict[str, list[str]] = {}
    for text in requirements:
        extra = re.search(r"extra == ['\"]([a-z]+)['\"]", text)
        name = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[([a-z, ]*)\])?", text)
        if extra is None or name is None:
            continue
        own = missing.setdefault(extra[1], {})
        if name[1] == _NAME:
            parts.setdefault(extra[1], []).extend(re.findall("[a-z]+", name[2] or ""))
        elif not ("sys_platform != 'win32'" in text and sys.platform == "win32"):
            try:
                metadata.distribution(name[1])
            except metadata.PackageNotFoundError:
                own[name[1]] = None
    for extra_name in missing:
        found = {
            name: None for part in _within(extra_name, parts) for name in missing.get(part, {})
        }
        if found:
            yield extra_name, [*found]


def _within(extra: str, parts: Mapping[str, Sequence[str]]) -> list[str]:
    """An extra and all that it takes in, each once."""
    found = [extra]
    for one in found:  # grows as it is read
        found += [part for part in parts.get(one, ()) if part not in found]
    return found


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's output
