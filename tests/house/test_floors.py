"""The floors hold, and their check finds a floor that does not."""

from pathlib import Path

import pytest

from tests.house.floors import FLOORS, broken, circles, strangers
from tests.house.tree import PACKAGES, ROOT, modules


def _plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def test_imports_point_down() -> None:
    """No module of the proxy imports from a floor above its own, and the pure ones are pure."""
    assert "\n".join(broken(ROOT)) == ""


def test_every_floor_is_inhabited() -> None:
    """The table names no module that is gone."""
    there = {[*name.split("."), ""][1] for name in modules(ROOT, "lorax_proxy")}
    assert [part for _, parts in FLOORS for part in parts if part not in there] == []


def test_the_packages_are_strangers() -> None:
    """Proxy, mock and contracts never import one another, nor the tests."""
    assert "\n".join(strangers(ROOT)) == ""


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_in_no_circle(package: str) -> None:
    """Modules can be read in an order in which nothing is used before it was explained."""
    assert "\n".join(circles(ROOT, package)) == ""


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        (
            "wire/sse.py",
            "from lorax_proxy.core.stops import Stops",
            ":1: wire imports lorax_proxy.core.stops.Stops, of the floor above (core)",
        ),
        (
            "core/chat.py",
            "def f():\n    from lorax_proxy import config",
            ":2: core imports lorax_proxy.config, of the floor above (edges)",
        ),
        (
            "surface.py",
            "import lorax_proxy.app",
            ":1: shell imports lorax_proxy.app, of the floor above (app)",
        ),
        ("core/plan.py", "import os.path", ":1: core is pure and imports os.path"),
        (
            "wire/lorax.py",
            "from asyncio import sleep",
            ":1: wire is pure and imports asyncio.sleep",
        ),
        (
            "gadgets.py",
            "",
            ": gadgets is on no floor; give it one in tests/house/floors.py",
        ),
    ],
)
def test_a_broken_floor_is_named(tmp_path: Path, path: str, text: str, finding: str) -> None:
    """The finding has the file, the line, both floors and the import."""
    _plant(tmp_path, f"proxy/lorax_proxy/{path}", text)
    assert list(broken(tmp_path)) == [f"proxy/lorax_proxy/{path}{finding}"]


def test_types_alone_may_come_from_above(tmp_path: Path) -> None:
    """An import for type checkers is not there when the program runs."""
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lorax_proxy.app\n"
    _plant(tmp_path, "proxy/lorax_proxy/errors.py", text)
    assert list(broken(tmp_path)) == []


def test_a_meeting_of_two_packages_is_named(tmp_path: Path) -> None:
    """Also when it hides inside a function."""
    _plant(tmp_path, "mock/lorax_mock/app.py", "def f():\n    import lorax_proxy.wire.sse\n")
    _plant(tmp_path, "contracts/lorax_contracts/laws.py", "from tests import conftest\n")
    assert list(strangers(tmp_path)) == [
        "mock/lorax_mock/app.py:2: lorax_mock imports lorax_proxy.wire.sse",
        "contracts/lorax_contracts/laws.py:1: lorax_contracts imports tests.conftest",
    ]


def test_a_circle_is_named(tmp_path: Path) -> None:
    """A circle over three modules is told as the way around it, once."""
    for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        _plant(tmp_path, f"mock/lorax_mock/{name}.py", f"from lorax_mock.{other} import x\n")
    assert list(circles(tmp_path, "lorax_mock")) == [
        "lorax_mock.a -> lorax_mock.b -> lorax_mock.c -> lorax_mock.a"
    ]
