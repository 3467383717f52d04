"""What is mutated, and which tests must notice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from tests.mutants.making import Source
from tests.repo.tree import ROOT

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """A module's path, its own tests, and those of what stands on it.

    The first test file is the module's mirror: a mutant that it does not kill by itself is a hint
    that behaviour is tested far from where it lives.
    """

    path: str
    tests: tuple[str, ...]

    @property
    def module(self) -> str:
        """The dotted name: `proxy/lorax_proxy/core/stops.py` is `lorax_proxy.core.stops`."""
        return ".".join(self.path.removesuffix(".py").split("/")[1:])

    def source(self) -> Source:
        """Its source, mutants and all."""
        return Source(ROOT / self.path, self.module)


def _core(name: str, *more: str) -> Target:
    tests = (PurePosixPath("tests/proxy/core", each) for each in (name, *more))
    return Target(
        f"proxy/lorax_proxy/core/{name}.py",
        tuple(str(each.with_name(f"test_{each.name}.py")) for each in tests),
    )


TARGETS: Final[Sequence[Target]] = (
    _core("stops"),
    _core("stream", "chat_style"),
    _core("tools/reader", "stream"),
    _core("tools/grammar"),
    _core("failures"),
    _core("routing"),
    Target("mock/lorax_mock/model/engine.py", ("tests/mock/model/test_engine.py",)),
    # what those stand on
    _core("json_text", "tools/reader"),
    Target(
        "mock/lorax_mock/model/distribution.py",
        ("tests/mock/model/test_distribution.py", "tests/mock/model/test_engine.py"),
    ),
)
"""The parts of the core whose faults would reach clients as wrong answers, and the mock's engine."""
