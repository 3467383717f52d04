"""The checker's pages in a real browser: read in light and dark, wide and narrow, with a screen reader."""

import functools
import http.server
import json
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.compat.browser.conftest import OpenPage

_MOCK = shlex.split(
    os.environ.get("LORAX_MOCK_COMMAND", str(Path(__file__).parents[3] / ".venv/bin/lorax-mock"))
)
_CHECKER = str(Path(_MOCK[0]).with_name("lorax-contracts"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is pytest's."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a folder with a report and a table on LoRAX's own /v1, which breaks a good deal."""
    folder = tmp_path_factory.mktemp("pages") / "_"
    folder.mkdir()
    command = [*_MOCK, "serve", "--port", "0", "--announce", "json", "--exit-with-parent"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        v1, few = f"{url}/v1", ["--kind", "openai", "--examples", "0", "--format"]
        for words, code in (
            (["check", v1, *few, "html:report.html"], 1),
            (
                ["matrix", v1, f"native={url}", "--examples", "0", "--format", "html:servers.html"],
                0,
            ),
        ):
            done = subprocess.run(
                [_CHECKER, *words],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert done.returncode == code, done.stderr
        process.stdin.close()
    handler = functools.partial(_Quiet, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        (folder.parent / "favicon.ico").touch()
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/_"
        server.shutdown()


@pytest.mark.parametrize("name", ["report.html", "servers.html"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_it_can_be_read_by_everybody(
    open_page: OpenPage, pages: str, name: str, scheme: str, width: int
) -> None:
    """Axe has nothing to say with all of it open, and nothing sticks out of a phone's window."""
    with open_page(f"{pages}/{name}", scheme=scheme, width=width) as page:
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert room[0] <= room[1]
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found] == []


def test_a_finding_is_reached_and_opened_by_keyboard(open_page: OpenPage, pages: str) -> None:
    """From its row in the table to the bytes that the server sent."""
    with open_page(f"{pages}/report.html") as page:
        link = page.get_by_role("link", name="OAI-STOP-001")
        link.focus()
        page.keyboard.press("Enter")
        section = page.get_by_role("region", name="OAI-STOP-001 (wrong)")
        expect(section.get_by_role("heading")).to_be_in_viewport()
        reply = section.locator("details").nth(1)
        expect(reply.locator("code")).not_to_be_visible()
        reply.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(reply.locator("code")).to_contain_text("200\ncontent-type: application/json")
