"""The inspector as people use it: with a mouse, a keyboard, a screen reader, in the dark and on a phone."""

import contextlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.compat.browser.conftest import OpenPage, TakePicture
from tests.compat.demo import running_demo

_MOCK = os.environ.get(
    "LORAX_MOCK_COMMAND", str(Path(__file__).parents[3] / ".venv/bin/lorax-mock")
)
_PROXY = os.environ.get(
    "LORAX_PROXY_COMMAND", str(Path(__file__).parents[3] / ".venv/bin/lorax-proxy")
)

TABS = ["Both wires", "Parameters", "Prompt", "Text and stops", "Copy as"]
REFUSED = "Failed to load resource: the server responded with a status of 40"


@contextlib.contextmanager
def started(command: str, *options: str, port: str = "0") -> Iterator[str]:
    """A server of ours that says where it is, on one line."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LORAX_")}
    with subprocess.Popen(
        [*shlex.split(command), "serve", "--port", port, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert found is not None
        try:
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """The address of a running demo."""
    with running_demo() as url:
        yield url.removesuffix("/v1")


@pytest.fixture(scope="session")
def paced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The inspector of a proxy whose LoRAX takes its time, with names of its own for adapters."""
    file = tmp_path_factory.mktemp("paced") / "proxy.toml"
    with started(_MOCK, "--pace", "real") as mock:
        file.write_text(
            f'inspector = true\ninspector_texts = true\n[[upstream]]\nurl = "{mock}"\n'
            '[[model]]\nname = "support"\nadapter = "acme/support"\n'
            '[[model]]\nname = "pirate"\nadapter = "acme/pirate"\n',
            "utf-8",
        )
        with started(_PROXY, "--config", str(file)) as proxy:
            yield f"{proxy}/_inspector/"


def ready(page: Page) -> None:
    """Wait until the page records, and forget what others have left."""
    expect(page.locator("#state")).to_contain_text("recording")
    expect(page.get_by_label("Model").locator("option").first).to_be_attached()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Nothing yet.")).to_be_visible()


def ask(
    page: Page,
    example: str,
    text: str | None = None,
    *,
    model: str | None = None,
    seed: int | None = None,
) -> None:
    """Ask by the chat, and wait for the end of the answer, in the chat and in the list."""
    before = page.get_by_role("button", name=re.compile("Open request")).count()
    if model is not None:
        page.get_by_label("Model").select_option(model)
    page.get_by_label("Example").select_option(example)
    if text is not None:
        page.get_by_label("Message").fill(text)
    if seed is not None:
        more = json.loads(page.locator("#extra").input_value())
        page.locator("#extra").evaluate(
            "(each, more) => { each.value = more }", json.dumps({**more, "seed": seed}, indent=2)
        )
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("button", name=re.compile("Open request"))).to_have_count(before + 1)
    expect(page.get_by_role("button", name="Stop")).to_be_disabled()
    expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#rows")).not_to_contain_text("under way")


def post(url: str, **document: object) -> None:
    """Ask as another client would."""
    body = json.dumps(document).encode()
    headers = {"content-type": "application/json"}
    urlopen(Request(f"{url}/v1/chat/completions", body, headers)).read()


def test_the_demo_shows_a_chat_on_both_wires(demo: str, open_page: OpenPage) -> None:
    """From its printed address to the bytes, by a mouse."""
    with open_page(demo) as page:
        expect(page).to_have_url(f"{demo}/_inspector/")
        ready(page)
        ask(page, "plain", model="acme/support")
        expect(page.get_by_role("log")).to_contain_text("acme/support")
        row = page.locator("#rows tr").first
        for part in ("acme/support", "(adapter)", "200", "stop"):
            expect(row).to_contain_text(part)
        expect(row.locator(".tokens")).to_have_text(re.compile(r"^\d+ → \d+$"))
        expect(row.locator(".first")).to_have_text(re.compile(r"^[\d.]+ m?s$"))
        # the chat's own request is opened
        expect(page.locator("#request-title")).to_have_text(
            re.compile(r"Request \d+: POST /v1/chat/completions")
        )
        wires = page.locator(".wires")
        wires.locator("summary", has_text="POST /generate_stream").click()
        expect(wires.locator("pre").filter(has_text='"adapter_id": "acme/support"')).to_be_visible()
        wires.locator("summary", has_text="[DONE]").click()
        expect(wires.locator("summary", has_text="finish_reason stop")).to_be_visible()


def test_numbers_are_shown_as_they_were_written(demo: str, open_page: OpenPage) -> None:
    """JavaScript's own would round a seed, and 1.0 would be 1."""
    hello = [{"role": "user", "content": 'say "{[1.0, 2]}" \\ ok'}]
    with open_page(demo) as page:
        ready(page)
        post(demo, model="acme/poet", messages=hello, seed=2**60 + 1, top_p=1.0, tools=[], user="")
        page.locator("#rows tr").click()
        wires = page.locator(".wires")
        wires.locator("summary", has_text="POST /v1/chat/completions").click()
        shown = wires.locator("pre").filter(has_text="messages")
        expect(shown).to_contain_text('\n  "seed": 1152921504606846977,\n  "top_p": 1.0,\n')
        expect(shown).to_contain_text('  "tools": [],\n  "user": ""\n}')
        expect(shown).to_contain_text(json.dumps(hello[0]["content"]))
        wires.locator("summary", has_text="POST /generate").click()
        sent = wires.locator("pre").filter(has_text='"inputs"')
        expect(sent).to_contain_text('"seed": 1152921504606846977')


def test_an_answer_that_breaks_off_is_asked_for_again(demo: str, open_page: OpenPage) -> None:
    """The page goes on when its server was in the middle of an answer."""
    with open_page(demo) as page:
        ready(page)
        page.route("**/_inspector/requests/*", lambda route: route.fulfill(body='{"half'), times=1)
        for model in ("acme/poet", "acme/sql"):
            post(demo, model=model, messages=[{"role": "user", "content": "Hello!"}])
        rows = page.locator("#rows tr:visible")
        expect(rows).to_have_count(2)
        with page.expect_response("**/_inspector/requests/*"):
            rows.first.click()
        rows.last.click()
        expect(page.locator("#facts")).to_contain_text("acme/poet")


def test_what_others_ask_is_listed_and_opened(demo: str, open_page: OpenPage) -> None:
    """The row is the button."""
    with open_page(demo) as page:
        ready(page)
        post(
            demo, model="acme/poet", messages=[{"role": "user", "content": "Rain"}], n=2, user="me"
        )
        page.locator("#rows tr").filter(has_text="acme/poet").click()
        page.get_by_role("tab", name="Parameters").click()
        for name, decision in (
            ("messages", "translated"),
            ("user", "accepted"),
            ("n", "2 requests"),
        ):
            line = page.locator(".params tr").filter(has=page.get_by_text(name, exact=True))
            expect(line).to_contain_text(decision)


def test_the_prompt_and_the_cut_are_shown(demo: str, open_page: OpenPage) -> None:
    """Special tokens marked, the stop string struck out."""
    with open_page(demo) as page:
        ready(page)
        ask(page, "stop string", model="acme/support")
        page.get_by_role("tab", name="Prompt").click()
        expect(page.locator("mark", has_text="<|eot_id|>").first).to_be_visible()
        expect(page.locator("mark.added")).to_have_text(["dashed", "<|begin_of_text|>"])
        page.get_by_role("tab", name="Text and stops").click()
        expect(page.locator("#panel")).to_contain_text('The stop string "me about the" begins')
        expect(page.locator("#panel del")).to_have_text(re.compile("^me about the"))


def test_tools_json_and_refusals_have_examples(demo: str, open_page: OpenPage) -> None:
    """And more parameters that are none are told at once."""
    with open_page(demo, expected=(REFUSED,)) as page:
        ready(page)
        ask(page, "tool", model="acme/support")
        expect(page.get_by_role("log")).to_contain_text("get_weather({")
        expect(page.locator("#rows tr").first).to_contain_text("tool_calls")
        ask(page, "JSON")
        expect(page.get_by_role("log")).to_contain_text('{"topic": "')
        ask(page, "refused")
        expect(page.get_by_role("log")).to_contain_text("LoRAX cannot bias tokens")
        expect(page.locator("#rows tr").first).to_contain_text("unsupported_parameter")
        page.get_by_label("Stream").uncheck()
        ask(page, "plain")
        expect(page.locator(".wires")).to_contain_text("POST /generate")
        page.locator("summary", has_text="More parameters").click()
        page.get_by_label("More parameters, as JSON").fill("{")
        page.get_by_label("Message").fill("x")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("log")).to_contain_text("are not JSON")


def test_a_stream_can_be_stopped(paced: str, open_page: OpenPage) -> None:
    """And LoRAX is told so at once."""
    with open_page(paced) as page:
        ready(page)
        page.get_by_label("Model").select_option("support")
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("log")).to_contain_text(re.compile("support\n?(Hello|Hi|Thank)"))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("log")).to_contain_text("(stopped)")
        expect(page.locator("#rows tr").first).to_contain_text("client_left")
        expect(page.locator(".wires")).to_contain_text("closed by the proxy")


def test_the_list_is_filtered_paused_and_cleared(demo: str, open_page: OpenPage) -> None:
    """What waits while it is paused is counted, and comes when it goes on."""
    hello = [{"role": "user", "content": "Hello!"}]
    with open_page(demo) as page:
        ready(page)
        for model in ("acme/poet", "acme/sql"):
            post(demo, model=model, messages=hello)
        rows = page.locator("#rows tr:visible")
        expect(rows).to_have_count(2)
        page.get_by_label("Filter").fill("SQL 200")
        expect(rows).to_have_count(1)
        expect(page.locator("#count")).to_have_text("(1 of 2)")
        page.get_by_label("Filter").fill("nothing of the kind")
        expect(page.get_by_text("No request fits the filter.")).to_be_visible()
        page.get_by_label("Filter").fill("")
        pause = page.get_by_role("button", name="Pause")
        pause.click()
        expect(pause).to_have_attribute("aria-pressed", "true")
        post(demo, model="acme/pirate", messages=hello)
        expect(page.locator("#count")).to_have_text("(2) and 1 waiting")
        # what waits is no more than what is kept
        page.evaluate(
            "() => { kept = 2; const [row] = rows.values();"
            " for (const number of [901, 902, 903]) take([{ ...row, number }]); }"
        )
        expect(page.locator("#count")).to_have_text("(2) and 2 waiting")
        pause.click()
        expect(rows).to_have_count(2)
        expect(rows.first).to_contain_text("903")
        page.get_by_role("button", name="Clear").click()
        expect(rows).to_have_count(0)


def test_everything_is_reached_without_a_mouse(demo: str, open_page: OpenPage) -> None:
    """By Tab, arrows and Enter, and focus is never lost."""
    with open_page(demo) as page:
        ready(page)
        for model in ("acme/poet", "acme/sql", "acme/support"):
            post(demo, model=model, messages=[{"role": "user", "content": "Hello!"}])
        expect(page.locator("#rows tr")).to_have_count(3)
        page.keyboard.press("Tab")
        page.locator("body").press("Home")
        page.get_by_label("Filter").focus()
        focused = page.locator(":focus")
        for name in ("Pause", "Clear"):
            page.keyboard.press("Tab")
            expect(focused).to_have_text(name)
        page.keyboard.press("Tab")
        expect(focused).to_have_attribute("aria-label", "List of requests")
        page.keyboard.press("Tab")
        expect(focused).to_have_accessible_name(re.compile("Open request"))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page.locator("tr[aria-current=true]")).to_contain_text("acme/sql")
        expect(page.get_by_role("tablist")).to_be_visible()
        page.keyboard.press("Tab")
        expect(focused).to_have_role("tab")
        for name in (*TABS[1:], TABS[0]):
            page.keyboard.press("ArrowRight")
            expect(focused).to_have_text(name)
            expect(focused).to_have_attribute("aria-selected", "true")
        page.keyboard.press("Tab")
        expect(focused).to_have_role("tabpanel")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator(".wires details[open] pre").first).to_be_visible()
        page.get_by_role("button", name="New chat").focus()
        page.keyboard.press("Enter")
        expect(focused).to_have_id("message")
        page.keyboard.type("By hand")
        page.keyboard.press("Enter")
        expect(page.locator("#rows tr")).to_have_count(4)
        expect(page.get_by_role("log")).to_have_attribute("aria-busy", "false")


def test_what_happens_is_said_politely(demo: str, open_page: OpenPage) -> None:
    """States, not tokens; an answer when it is whole."""
    with open_page(demo) as page:
        said = page.get_by_role("status")
        expect(said).to_have_text("Connected: requests are recorded while this page is open")
        ready(page)
        expect(said).to_have_text("All requests are forgotten")
        expect(said).to_have_attribute("aria-live", "polite")
        log = page.get_by_role("log")
        expect(log).to_have_attribute("aria-live", "polite")
        ask(page, "plain")
        page.get_by_role("tab", name="Copy as").click()
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(said).to_have_text(re.compile("Copied|Selected"))


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
)
def test_nothing_keeps_anybody_out(scheme: str, width: int, demo: str, open_page: OpenPage) -> None:
    """Axe finds nothing in any part: names, roles, contrast, order. Nor is a narrow window too narrow."""
    with open_page(demo, scheme=scheme, width=width, expected=(REFUSED,)) as page:
        ready(page)
        ask(page, "refused", model="acme/support")
        ask(page, "stop string")
        for name in TABS:
            page.get_by_role("tab", name=name).click()
            found = Axe().run(page)
            assert found.violations_count == 0, f"{name}: {found.generate_report()}"
            scrolls = page.evaluate("() => document.scrollingElement.scrollWidth - innerWidth")
            assert scrolls <= 0, f"{name}: {scrolls} pixels stand out"


def test_with_a_key_the_page_asks_for_it(open_page: OpenPage) -> None:
    """And takes a wrong one for what it is."""
    with (
        running_demo("--api-key", "open-sesame") as url,
        open_page(url.removesuffix("/v1"), expected=(REFUSED,)) as page,
    ):
        field = page.get_by_label("This server's API key")
        expect(field).to_be_focused()
        field.fill("wrong")
        page.keyboard.press("Enter")
        expect(field).to_be_visible()
        field.fill("open-sesame")
        page.keyboard.press("Enter")
        ready(page)
        ask(page, "plain", model="acme/support")
        expect(page.locator("#rows tr").first).to_contain_text("200")
        page.get_by_role("tab", name="Copy as").click()
        expect(page.locator("#panel")).to_contain_text("$OPENAI_API_KEY")
        expect(page.locator("body")).not_to_contain_text("open-sesame")


def test_without_leave_texts_are_not_shown(open_page: OpenPage) -> None:
    """And the page says why."""
    with (
        started(_MOCK) as mock,
        started(_PROXY, "--upstream", mock, "--inspector") as proxy,
        open_page(f"{proxy}/_inspector/") as page,
    ):
        ready(page)
        ask(page, "plain", "a secret of mine")
        for name in TABS:
            page.get_by_role("tab", name=name).click()
            expect(page.locator("#panel")).to_contain_text("Texts are not shown")
        expect(page.locator("#request")).not_to_contain_text("a secret of mine")
        page.get_by_role("tab", name="Both wires").click()
        expect(page.locator(".wires")).to_contain_text("POST /generate_stream")


def test_a_page_comes_back_after_its_server(open_page: OpenPage) -> None:
    """By itself, as soon as there is one again."""
    with contextlib.ExitStack() as first:
        address = first.enter_context(started(_PROXY, "--demo"))
        with open_page(address, expected=("ERR_",)) as page:
            ready(page)
            ask(page, "plain")
            expect(page.get_by_role("heading", name="Request 1: POST")).to_be_visible()
            first.close()
            expect(page.locator("#state")).to_have_text("not connected, trying again")
            with started(_PROXY, "--demo", port=address.rpartition(":")[2]):
                ready(page)
                expect(page.get_by_role("heading", name="No request opened")).to_be_visible()
                ask(page, "plain")


def test_pictures_for_the_docs(paced: str, open_page: OpenPage, take_picture: TakePicture) -> None:
    """What the docs show is what the page looks like."""
    for name, scheme, width, height in (
        ("inspector-light", "light", 1200, 720),
        ("inspector-dark", "dark", 1200, 720),
        ("inspector-narrow", "light", 360, 740),
    ):
        with open_page(
            paced, scheme=scheme, width=width, height=height, expected=(REFUSED,)
        ) as page:
            ready(page)
            ask(page, "plain", model="pirate", seed=7)
            ask(page, "refused")
            ask(page, "stop string", model="support", seed=7)
            page.evaluate("() => scrollTo(0, 0)")
            take_picture(page, name)
