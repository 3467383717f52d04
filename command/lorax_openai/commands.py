"""The commands' entry points: each starts its package, or names the extra that it needs.

A package is imported by its name alone, when its command runs: whoever installed the mock has no
need of the proxy's libraries.
"""

import importlib
import sys
from dataclasses import dataclass
from typing import Final

__all__ = ["CONTRACTS", "MOCK", "PROXY", "Command", "contracts", "mock", "proxy"]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, the package that it starts, and the extra with what that imports."""

    name: str
    package: str
    extra: str

    def run(self, *arguments: str) -> None:
        """Run it with these arguments.

        Raises:
            SystemExit: With the command's exit code; 2 when a library of its extra is missing.
        """
        sys.argv = [self.name, *arguments]
        try:
            importlib.import_module(f"{self.package}.__main__").main()
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("lorax_"):
                raise
            print(  # noqa: T201 - the command's output
                f"{self.name}: needs the extra {self.extra!r} ({error.name} is not installed): "
                f"pip install 'lorax-openai[{self.extra}]'",
                file=sys.stderr,
            )
            sys.exit(2)


PROXY: Final = Command("lorax-proxy", "lorax_proxy", "proxy")
MOCK: Final = Command("lorax-mock", "lorax_mock", "mock")
CONTRACTS: Final = Command("lorax-contracts", "lorax_contracts", "contracts")


def proxy() -> None:
    """`lorax-proxy`."""
    PROXY.run(*sys.argv[1:])


def mock() -> None:
    """`lorax-mock`."""
    MOCK.run(*sys.argv[1:])


def contracts() -> None:
    """`lorax-contracts`."""
    CONTRACTS.run(*sys.argv[1:])
