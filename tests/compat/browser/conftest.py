"""Chromium, from the system; pages in it that must not complain, nor ask anybody but their own server."""

import contextlib
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, sync_playwright

IMAGES = Path(__file__).parents[3] / "docs/images"
LARGEST_IMAGE = 150_000
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
)

OpenPage = Callable[..., AbstractContextManager[Page]]
TakePicture = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make browser ARGS=--screenshots` takes the pictures of the docs anew."""
    parser.addoption("--screenshots", action="store_true", help="write docs/images anew")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The system's browser; without one nothing here can be tried."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.exit("make browser needs chromium: apt-get install chromium", returncode=4)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> OpenPage:
    """What opens a page for a block, in a window of some width, in light or dark."""

    @contextlib.contextmanager
    def opened(
        url: str,
        *,
        scheme: Any = "light",
        width: int = 1280,
        height: int = 860,
        expected: tuple[str, ...] = (),
    ) -> Generator[Page]:
        """Open one, and see that nothing goes wrong in it.

        Args:
            url: Where.
            scheme: `light` or `dark`.
            width: Of the window, in pixels.
            height: Of the window.
            expected: Parts of messages that the console may show.
        """
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}, locale="en-GB"
        )
        complaints: list[str] = []
        own = url.partition("/_")[0].rstrip("/")

        def let_through(route: Route) -> None:
            if not route.request.url.startswith((f"{own}/", "data:")):
                complaints.append(f"asked {route.request.url}")
            route.continue_()

        context.route("**/*", let_through)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        yield page
        left = [each for each in complaints if not any(part in each for part in expected)]
        # a stream under way would keep the route's handler busy
        context.close()
        assert left == []

    return opened


@pytest.fixture
def take_picture(request: pytest.FixtureRequest, tmp_path: Path) -> TakePicture:
    """Take a picture of a page, or of a part of it, for the docs if that is asked for; it is small in any case."""

    def take(page: Page, name: str, part: Page | Locator | None = None) -> None:
        page.mouse.move(0, 0)
        folder = IMAGES if request.config.getoption("--screenshots") else tmp_path
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.png"
        (part or page).screenshot(path=path, animations="disabled", caret="hide")
        assert path.stat().st_size < LARGEST_IMAGE, f"{path} is larger than a page should load"

    return take
