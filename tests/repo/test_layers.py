"""The layers hold, and their check finds a layer that does not."""

import re
from pathlib import Path

import pytest

from tests.repo.layers import LAYERS, broken, circles, neighbours, strangers
from tests.repo.tree import PACKAGES, ROOT, modules


def _plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_down(package: str) -> None:
    """No module imports from a layer above its own, and the pure parts are pure."""
    assert "\n".join(broken(ROOT, package)) == ""


@pytest.mark.parametrize("package", LAYERS)
def test_parts_of_one_floor_do_not_import_each_other(package: str) -> None:
    """One of two parts may use the other, never both."""
    assert "\n".join(neighbours(ROOT, package)) == ""


@pytest.mark.parametrize("package", LAYERS)
def test_every_floor_is_inhabited(package: str) -> None:
    """The table names no module that is gone."""
    there = {[*name.split("."), ""][1] for name in modules(ROOT, package)}
    assert [part for _, parts in LAYERS[package] for part in parts if part not in there] == []


@pytest.mark.parametrize("package", LAYERS)
def test_architecture_has_the_same_layers(package: str) -> None:
    """Its table names them from the highest to the lowest, each with all that is on it."""
    title = {
        "lorax_proxy": "## The proxy's layers",
        "lorax_mock": "## The mock's layers",
        "lorax_contracts": "## The contracts' layers",
    }
    section = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition(title[package])[2]
    rows = re.findall(r"^\| (\w+) \| (`.+?`) \|", section.partition("\n## ")[0], re.MULTILINE)
    drawn = [(layer, set(re.findall(r"`(\w+)/?`", parts))) for layer, parts in rows]
    assert drawn == [(layer, set(parts)) for layer, parts in reversed(LAYERS[package])]


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
            ":1: wire imports lorax_proxy.core.stops.Stops, of the layer above (core)",
        ),
        (
            "core/chat_style.py",
            "def f():\n    from lorax_proxy import config",
            ":2: core imports lorax_proxy.config, of the layer above (edges)",
        ),
        (
            "surface.py",
            "import lorax_proxy.app",
            ":1: shell imports lorax_proxy.app, of the layer above (app)",
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
            ": gadgets is in no layer; give it one in tests/repo/layers.py",
        ),
    ],
)
def test_a_broken_floor_is_named(tmp_path: Path, path: str, text: str, finding: str) -> None:
    """The finding has the file, the line, both layers and the import."""
    _plant(tmp_path, f"proxy/lorax_proxy/{path}", text)
    assert list(broken(tmp_path, "lorax_proxy")) == [f"proxy/lorax_proxy/{path}{finding}"]


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        (
            "wire/replies.py",
            "from lorax_mock.server.clock import today",
            ":1: wire imports lorax_mock.server.clock.today, of the layer above (server)",
        ),
        (
            "shard/jobs.py",
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
                "    from lorax_mock.router.health import Health"
            ),
            ":3: parts imports lorax_mock.router.health.Health, of the layer above (router)",
        ),
        ("shard/jobs.py", "import time", ":1: shard is pure and imports time"),
        ("gadgets/one.py", "", ": gadgets is in no layer; give it one in tests/repo/layers.py"),
    ],
)
def test_a_broken_floor_of_the_mock_is_named(
    tmp_path: Path, path: str, text: str, finding: str
) -> None:
    """In the same words, also when only a type checker would see the import."""
    _plant(tmp_path, f"mock/lorax_mock/{path}", text)
    assert list(broken(tmp_path, "lorax_mock")) == [f"mock/lorax_mock/{path}{finding}"]


@pytest.mark.parametrize(
    ("path", "text", "finding"),
    [
        (
            "judge/chat.py",
            (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
                "    from lorax_contracts.session import Session"
            ),
            ":3: judge imports lorax_contracts.session.Session, of the layer above (probes)",
        ),
        ("probes/chat.py", "import time", ":1: probes is pure and imports time"),
    ],
)
def test_a_broken_floor_of_the_contracts_is_named(
    tmp_path: Path, path: str, text: str, finding: str
) -> None:
    """A judge knows no session, and a probe no clock."""
    _plant(tmp_path, f"contracts/lorax_contracts/{path}", text)
    assert list(broken(tmp_path, "lorax_contracts")) == [
        f"contracts/lorax_contracts/{path}{finding}"
    ]


def test_what_is_not_pure_may_know_the_time(tmp_path: Path) -> None:
    """Also when it stands beside parts that are."""
    _plant(tmp_path, "mock/lorax_mock/http/hyper.py", "import asyncio\n")
    assert list(broken(tmp_path, "lorax_mock")) == []


def test_parts_that_import_each_other_are_named(tmp_path: Path) -> None:
    """With both places, though their modules go in no circle."""
    mock = "mock/lorax_mock"
    _plant(tmp_path, f"{mock}/http/a.py", "from lorax_mock.prompt.b import x\n")
    _plant(tmp_path, f"{mock}/prompt/b.py", "x = 1\n")
    assert list(neighbours(tmp_path, "lorax_mock")) == []
    _plant(tmp_path, f"{mock}/prompt/c.py", "\nfrom lorax_mock.http.d import x\n")
    assert list(neighbours(tmp_path, "lorax_mock")) == [
        f"parts: http imports prompt ({mock}/http/a.py:1), and prompt http ({mock}/prompt/c.py:2)"
    ]


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
