"""The mock's page in a real browser: what it shows, how it is worked, and that it lets nobody else in."""

import contextlib
import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.compat.browser.conftest import OpenPage, TakePicture
from tests.compat.copies import ADDRESS, ASKED, COPIES

_COMMAND = shlex.split(
    os.environ.get("LORAX_MOCK_COMMAND", str(Path(__file__).parents[3] / ".venv/bin/lorax-mock"))
)
_REFUSED = "Failed to load resource: the server responded with a status of"
_KINDS = ["queued", "download", "load", "offload", "prefill", "decode", "in the batch", "left"]


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """The address of one mock for all tests of this module."""
    command = [*_COMMAND, "serve", "--port", "0", "--announce", "json", "--exit-with-parent"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.stdin.close()
        assert process.wait(10) == 0


@pytest.fixture
def mock(running: str) -> str:
    """The same, as new."""
    _ask(running, "/_mock/pace", {"pace": "off", "step_ms": 20, "first_ms": 0}, method="PUT")
    _ask(running, "/_mock/reset", {})
    return running


@contextlib.contextmanager
def _opened(open_page: OpenPage, mock: str, **options: Any) -> Iterator[Page]:
    """The page, connected, at noon."""
    with open_page(f"{mock}/_mock/", expected=(_REFUSED,), **options) as shown:
        shown.clock.set_fixed_time("2026-11-30T12:00:00")
        shown.emulate_media(reduced_motion="reduce")
        expect(shown.get_by_text("live", exact=True)).to_be_visible()
        yield shown


@pytest.fixture
def page(open_page: OpenPage, mock: str) -> Iterator[Page]:
    """The page in a window of the usual width."""
    with _opened(open_page, mock) as shown:
        yield shown


def _ask(
    url: str, path: str, body: object, method: str = "POST", **headers: str
) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": "application/json", **headers}
    try:
        with urlopen(Request(url + path, data, sent, method=method), timeout=20) as reply:
            return reply.status, reply.read().decode()
    except OSError as error:
        return getattr(error, "code", 0), str(error)


def _generate(
    url: str, prompt: str, adapter: str | None = None, tokens: int = 20, **more: Any
) -> int:
    asked: dict[str, Any] = {"max_new_tokens": tokens}
    if adapter is not None:
        asked["adapter_id"] = adapter
    return _ask(
        url, more.pop("path", "/generate"), {"inputs": prompt, "parameters": asked}, **more
    )[0]


def _entries(url: str) -> list[dict[str, Any]]:
    with urlopen(f"{url}/_mock/journal", timeout=20) as reply:
        return list(json.load(reply)["entries"])


def _meet(url: str) -> None:
    """Eight requests whose adapters load one after the other, in an order that is always the same."""
    adapters = [None, "acme/pirate", "acme/poet", "acme/sql"]
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            headers = {"x-lorax-mock-together": "8", "x-lorax-mock-at": str(90 * number)}
            path = "/generate_stream" if number % 2 else "/generate"
            prompt = f"What lives on reef number {number + 1}?"
            pool.submit(
                _generate, url, prompt, adapters[number % 4], 20 + 3 * number, path=path, **headers
            )
            while len(_entries(url)) <= number:
                time.sleep(0.005)


def _rows(page: Page) -> Locator:
    return page.locator("#rows tr:not([hidden])")


def test_requests_come_to_the_list_as_they_happen(page: Page, mock: str) -> None:
    """Newest first, with what became of each; filtered by any of its words; paused; cleared."""
    expect(page.get_by_text("No request has come.")).to_be_visible()
    rules = "rules: [{name: busy, when: {prompt_contains: now}, fault: overload}]"
    _ask(mock, "/_mock/script", rules.encode(), method="PUT")
    assert _generate(mock, "reef", "acme/poet", tokens=7) == 200
    assert _generate(mock, "and now") == 429
    assert _generate(mock, "who", "no/body") == 424
    _ask(mock, "/generate", b"{")
    cells = _rows(page)
    expect(cells).to_have_count(4)
    expect(cells.nth(0)).to_contain_text("refused")
    expect(cells.nth(0)).to_contain_text("400")
    expect(cells.nth(1)).to_contain_text("adapter 'no/body' is not known to this mock")
    expect(cells.nth(2)).to_have_text(
        "#212:00:00/generatebase model4290overloadedrule busyfault overload"
    )
    expect(cells.nth(3)).to_have_text("#112:00:00/generateacme/poet2007100120length")
    search = page.get_by_role("searchbox", name="Filter")
    search.fill("busy 429")
    expect(cells).to_have_count(1)
    expect(page.get_by_text("4 requests, 1 shown")).to_be_visible()
    search.fill("")
    page.get_by_role("button", name="Pause").click()
    _generate(mock, "while it is paused")
    expect(page.get_by_text("paused, 2 changes waiting")).to_be_visible()
    expect(cells).to_have_count(4)
    page.get_by_role("button", name="Pause").click()
    expect(cells).to_have_count(5)
    page.get_by_role("button", name="Clear").click()
    expect(cells).to_have_count(0)
    assert len(_entries(mock)) == 4


def test_a_request_is_opened_and_closed_without_a_mouse(page: Page, mock: str) -> None:
    """By Tab, arrows, Enter and Escape, which leave the focus where the reader was."""
    for prompt in ("one", "two", "three"):
        _generate(mock, prompt, tokens=3)
    expect(_rows(page)).to_have_count(3)
    page.get_by_role("region", name="List of requests, newest first").focus()
    for key in ("Tab", "ArrowDown", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    opened = page.get_by_role("article", name="Request 2")
    expect(opened).to_be_focused()
    expect(opened.get_by_label("Prompt")).to_have_text("two")
    times = opened.locator("tbody tr td:nth-child(2)")
    assert times.all_inner_texts() == ["0.4", "20.4", "40.4"]
    page.keyboard.press("Escape")
    expect(opened).to_be_hidden()
    expect(page.get_by_role("button", name="Open request 2", exact=True)).to_be_focused()


def _copied(page: Page, number: int, kind: str) -> str:
    """What is copied of a request."""
    page.get_by_role("button", name=f"Open request {number}", exact=True).click()
    opened = page.get_by_role("article", name=f"Request {number}", exact=True)
    opened.get_by_text(kind, exact=True).click()
    return opened.get_by_label(kind, exact=True).last.text_content() or ""


def _run(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("path", ASKED)
def test_a_request_can_be_asked_again(page: Page, mock: str, path: str) -> None:
    """The curl command gives the same answer, to the last digit of a seed; the Python is what `lorax_client` runs."""
    _, answer = _ask(mock, path, ASKED[path])
    assert _run(_copied(page, 1, "curl")) == answer
    page.keyboard.press("Escape")
    assert _copied(page, 1, "Python, lorax-client") == COPIES[path].replace(ADDRESS, mock)
    seed = ASKED[path]["parameters"].get("seed")
    said = page.locator("dt", has_text="seed").locator("+ dd").all_inner_texts()
    assert said == ([] if seed is None else [str(seed)])


def test_a_request_can_be_made_a_rule(page: Page, mock: str) -> None:
    """Which answers its prompt as it was answered, whatever else is asked."""
    asked = ASKED["/generate"]
    _, answer = _ask(mock, "/generate", asked)
    rule = _copied(page, 1, "Rule of a script")
    assert _ask(mock, "/_mock/script", rule.encode(), method="PUT")[0] == 200
    other = {**asked, "parameters": {**asked["parameters"], "seed": 3, "details": False}}
    again = json.loads(_ask(mock, "/generate", other)[1])["generated_text"]
    assert again == json.loads(answer)["generated_text"]
    assert _entries(mock)[-1]["rule"] == "as request 1"


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_is_asked_again_as_what_it_became(page: Page, mock: str, *, stream: bool) -> None:
    """On LoRAX's native route: as a stream if it was one, which `/v1` does not tell by its path."""
    chat = {"model": "acme/poet", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    _ask(mock, "/v1/chat/completions", chat)
    native = "/generate_stream" if stream else "/generate"
    command = _copied(page, 1, "curl")
    assert f"{mock}{native}'" in command
    assert _run(command).startswith("data:" if stream else "{")
    page.keyboard.press("Escape")
    assert f"client.{native[1:]}(" in _copied(page, 1, "Python, lorax-client")


def test_special_tokens_of_a_prompt_stand_out(page: Page, mock: str) -> None:
    """And text that looks like markup is text."""
    chat = {"model": "acme/poet", "messages": [{"role": "user", "content": "<b>hi</b><script>"}]}
    _ask(mock, "/v1/chat/completions", chat)
    page.get_by_role("button", name="Open request 1").click()
    prompt = page.get_by_role("article").get_by_label("Prompt")
    expect(prompt).to_contain_text("<b>hi</b><script><|eot_id|>")
    assert prompt.locator("mark").first.text_content() == "<|begin_of_text|>"


def test_the_shard_is_drawn_with_axis_title_and_legend(page: Page, mock: str) -> None:
    """A lane a sequence, in the shard's own time, which a table and words tell as well."""
    _meet(mock)
    drawing = page.get_by_role("group", name="What the shard does, in milliseconds of virtual time")
    expect(drawing).to_be_visible()
    expect(drawing.get_by_role("link")).to_have_count(8)
    for kind in _KINDS:
        expect(page.get_by_role("list", name="Legend")).to_contain_text(kind)
    expect(drawing).to_contain_text("time, ms")
    expect(drawing).to_contain_text("3,000")
    expect(drawing).to_contain_text("queue: up to 7")
    expect(drawing).to_contain_text("batch: up to 8")
    for kind, least in (("queued", 7), ("download", 3), ("load", 3), ("prefill", 8), ("decode", 8)):
        assert drawing.locator(f"rect.{kind}").count() >= least, kind
    assert "8 sequences from 0 to " in (drawing.locator("desc").text_content() or "")
    page.get_by_text("The same as a table").click()
    table = page.get_by_role("region", name="Sequences on the shard").locator("tbody tr")
    expect(table).to_have_count(8)
    expect(table.nth(7)).to_contain_text("#1base model0")
    before = drawing.text_content()
    page.get_by_role("button", name="Show a shorter time").click()
    expect(page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "false")
    assert drawing.text_content() != before
    page.get_by_role("button", name="Follow").click()
    assert drawing.text_content() == before
    drawing.get_by_role("link", name="Open request #3 acme/poet").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="Request 3")).to_be_focused()


def test_what_comes_as_another_goes_is_counted_as_one(page: Page, mock: str) -> None:
    """In the charts of queue and batch; a sequence that need not wait was never in the queue."""
    _generate(mock, "alone", tokens=2)
    drawing = page.get_by_role("group", name="What the shard does")
    expect(drawing).to_contain_text("batch: up to 1")
    expect(drawing).to_contain_text("queue: up to 0")


@pytest.mark.parametrize(
    ("width", "opened", "left_out"),
    [
        (1280, False, set()),
        (1280, True, {"Time", "First, ms", "Token, ms"}),
        (360, False, {"Time", "Route", "First, ms", "Token, ms"}),
    ],
)
def test_a_narrow_list_leaves_out_these_columns_and_no_others(
    open_page: OpenPage, mock: str, width: int, *, opened: bool, left_out: set[str]
) -> None:
    """Whole, their heads with them: what is shown where there is room for little is chosen, not lost."""
    with _opened(open_page, mock, width=width) as page:
        _generate(mock, "one", tokens=3)
        expect(_rows(page)).to_have_count(1)
        heads = page.locator("#list thead th").all_text_contents()
        assert len(set(heads)) == 10
        if opened:
            page.get_by_role("button", name="Open request 1").click()
        for row in ("#list thead tr", "#rows tr"):
            shown = [cell.is_visible() for cell in page.locator(f"{row} > *").all()]
            missing = {head for head, seen in zip(heads, shown, strict=True) if not seen}
            assert missing == left_out, row


def test_the_controls_do_what_they_say(page: Page, mock: str) -> None:
    """And a refusal is told in the mock's own words."""
    script = page.locator("#script")
    source = script.get_by_label("Rules, as YAML or JSON")
    source.fill("rulse: []")
    script.get_by_role("button", name="Apply").click()
    expect(script.get_by_role("status")).to_contain_text("did you mean 'rules'?")
    script.get_by_role("button", name="Example").click()
    script.get_by_role("button", name="Apply").click()
    expect(script.get_by_role("status")).to_have_text("In force: greeting, busy twice")
    sending = page.locator("#try")
    sending.get_by_label("Adapter").select_option("acme/pirate")
    sending.get_by_label("At once").fill("2")
    sending.get_by_role("button", name="Send").click()
    expect(sending.get_by_role("status")).to_have_text("2 answers, status 200")
    assert [entry["rule"] for entry in _entries(mock)] == ["greeting", "greeting"]
    script.get_by_role("button", name="Remove").click()
    expect(script.get_by_role("status")).to_have_text("No rules")
    faults = page.locator("#faults")
    faults.get_by_label("Kind").select_option("status:CODE")
    faults.get_by_label("Requests").fill("2")
    faults.get_by_role("button", name="Give to the next").click()
    expect(faults.get_by_role("status")).to_have_text("Next: status:503, status:503")
    assert [_generate(mock, "a") for _ in "abc"] == [503, 503, 200]
    pace = page.locator("#pace")
    pace.get_by_label("real time").check()
    pace.get_by_label("A token, ms").fill("5")
    pace.get_by_role("button", name="Apply to a new shard").click()
    expect(pace.get_by_role("status")).to_have_text("The shard is new")
    expect(page.get_by_text("milliseconds of real time")).to_be_visible()
    pace.get_by_label("As measured on").select_option("llama-3-8b-h100")
    pace.get_by_label("no time").check()
    pace.get_by_role("button", name="Apply to a new shard").click()
    expect(pace.get_by_label("A token, ms")).to_have_value("7.74")
    expect(page.get_by_text("milliseconds of virtual time")).to_be_visible()
    _ask(mock, "/_mock/pace", {"pace": "real", "step_ms": 1}, method="PUT")
    expect(page.get_by_text("milliseconds of real time")).to_be_visible()
    expect(pace.get_by_label("A token, ms")).to_have_value("1")
    health = page.locator("#health")
    health.get_by_label("failing: every pass").check()
    expect(health.locator(".said")).to_have_text("The shard is failing")
    assert _generate(mock, "a") == 424
    health.get_by_role("button", name="Forget scripts, journal and shard").click()
    expect(health.locator(".said")).to_have_text("As new")
    expect(health.get_by_label("well")).to_be_checked()


def test_no_other_page_changes_a_mock_or_reads_its_journal(chromium: Browser, mock: str) -> None:
    """With whatever a page can send; one of this machine, since Chromium lets no other come so far."""
    _generate(mock, "a secret prompt")
    other = chromium.new_context().new_page()
    other.goto(mock.replace("127.0.0.1", "localhost") + "/health")
    told = other.evaluate(
        """async (url) => {
          const of = (path, options) => fetch(url + path, options).then(async (r) => [r.status, await r.text()], (e) => [0, String(e)]);
          return [
            await of("/_mock/reset", {method: "POST"}), await of("/_mock/reset", {method: "POST", mode: "no-cors"}),
            await of("/_mock/script", {method: "PUT", body: "rules: []"}), await of("/_mock/journal", {}),
          ];
        }""",
        mock,
    )
    assert [status for status, _ in told] == [403, 0, 0, 403]
    assert "secret" not in json.dumps(told)
    other.context.close()
    assert len(_entries(mock)) == 1


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
)
def test_everything_can_be_read(open_page: OpenPage, mock: str, scheme: str, width: int) -> None:
    """Axe has nothing to say, text has the contrast that WCAG's AA asks for, and nothing sticks out of 360 pixels."""
    with _opened(open_page, mock, scheme=scheme, width=width) as page:
        _meet(mock)
        _generate(mock, "who", "no/body")
        expect(_rows(page)).to_have_count(9)
        page.get_by_text("The same as a table").click()
        page.get_by_role("button", name="Open request 3", exact=True).click()
        expect(page.get_by_role("article", name="Request 3")).to_be_visible()
        room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert room[0] <= room[1]
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:120]) for rule in found] == []
        assert page.evaluate(_CONTRAST) == []


_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const bright = (color) => {
    const [r, g, b] = [...rgb(color)].slice(0, 3).map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (rgb(color)[3] === 255) return color;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest("noscript, script, style, title, desc, text.in")) continue;
    const style = getComputedStyle(node);
    const [one, other] = [bright(node.closest("svg") ? style.fill : style.color), bright(behind(node.closest("svg")?.parentElement ?? node))];
    const ratio = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${node.outerHTML.slice(0, 80)}`);
  }
  return faint;
}"""


@pytest.mark.parametrize(
    ("scheme", "width", "name"),
    [
        ("light", 1200, "mock-request"),
        ("light", 1100, "mock-shard"),
        ("dark", 1100, "mock-shard-dark"),
        ("light", 360, "mock-narrow"),
    ],
)
def test_the_pictures_of_the_docs(
    open_page: OpenPage, take_picture: TakePicture, mock: str, scheme: str, width: int, name: str
) -> None:
    """Made of the same requests in the same order at the same time, so that they are the same each time."""
    with _opened(open_page, mock, scheme=scheme, width=width, height=740) as page:
        rules = "rules: [{name: greeting, when: {prompt_contains: hello}, reply: {text: 'Ahoy!'}}]"
        _ask(mock, "/_mock/script", rules.encode(), method="PUT")
        _meet(mock)
        _generate(mock, "hello there", "acme/pirate", path="/generate_stream")
        _ask(mock, "/_mock/faults", {"next": ["overload"]}, method="PUT")
        _generate(mock, "What is the tide?")
        _generate(mock, "Who is there?", "mycorp/x")
        drawing = page.get_by_role("group", name="What the shard does")
        expect(page.get_by_text("11 requests")).to_be_visible()
        expect(drawing.get_by_role("link")).to_have_count(9)
        if name == "mock-request":
            page.get_by_role("button", name="Open request 8").click()
            expect(page.get_by_role("article", name="Request 8")).to_be_visible()
        page.get_by_text("11 requests").click()
        page.evaluate("scrollTo(0, 0)")
        take_picture(page, name, page.locator("#shard figure") if "shard" in name else page)
