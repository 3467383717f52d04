"""A pytest plugin: a mock LoRAX, a proxy before it, and ready clients, as fixtures.

    def test_answer(lorax_mock, openai_client):
        lorax_mock.script({"rules": [{"reply": {"text": "Ahoy!"}}]})
        ...

    @pytest.mark.lorax_fault("overload", "cut@120")     # one a request, then none
    def test_retry(lorax_mock, openai_client): ...

One mock process, and one proxy, for each worker of a run; scripts, faults and journal are each test's own,
because the mock is reset before it. A failing test shows the journal. Everything talks over real sockets to
real processes started by their commands, so what passes here is what a user's program would see.

    def test_in_process(lorax_mock_app):
        with lorax_mock_app.client() as http: ...

`lorax_mock_app` is a mock without process and socket, each test's own.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from typing import IO, TYPE_CHECKING, Any, Final

import pytest

from lorax_mock.nearest import nearest_hint
from lorax_mock.testing.mock_server import MockServer

if TYPE_CHECKING:
    from lorax_mock.settings import Settings
    from lorax_mock.testing.inprocess import LocalMock

__all__ = [
    "MockServer",
    "async_openai_client",
    "lorax_client",
    "lorax_mock",
    "lorax_mock_app",
    "lorax_mock_options",
    "lorax_mock_server",
    "lorax_mock_settings",
    "lorax_proxy",
    "lorax_proxy_options",
    "openai_client",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
]

_WRONG: Final = pytest.StashKey[str]()
_MARKERS: Final = {
    "lorax_script": "(rules): a script for the mock, YAML or mapping",
    "lorax_fault": "(*ids): one fault a request, in order",
}
_URL: Final = re.compile(r"https?://[^\s/]+")
_LOOKS: Final = 2_000
_BETWEEN_SECONDS: Final = 0.01


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    for name, words in _MARKERS.items():
        config.addinivalue_line("markers", f"{name}{words}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse markers that are wrong: their tests would run without them.

    Raises:
        pytest.UsageError: With the test, what is wrong, and the nearest name. In a worker of
            pytest-xdist, which must not end by itself, the test fails with that instead.
    """
    for item in items:
        for marker in item.iter_markers():
            if marker.name.startswith("lorax_") and (fault := _marker_fault(marker)) is not None:
                told = f"{item.nodeid}: @pytest.mark.{marker.name}: {fault}"
                if not hasattr(config, "workerinput"):
                    raise pytest.UsageError(told)
                item.stash[_WRONG] = told


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a worker's test whose marker is wrong."""
    if _WRONG in item.stash:
        pytest.fail(item.stash[_WRONG], pytrace=False)


def _marker_fault(marker: pytest.Mark) -> str | None:
    """What is wrong with one of our markers, or with one that looks like it."""
    # imported here: every pytest run loads this module, and only its users pay
    from lorax_mock.scripting.faults import FaultError, parse_fault  # noqa: PLC0415 - see above
    from lorax_mock.scripting.script import ScriptError, read_script  # noqa: PLC0415 - see above

    if marker.name not in _MARKERS:
        return f"there is no such marker; {nearest_hint(marker.name, _MARKERS)}"
    if marker.kwargs or (marker.name == "lorax_script" and len(marker.args) != 1):
        return f"its form is {marker.name}{_MARKERS[marker.name].partition(':')[0]}"
    try:
        for given in marker.args:
            if marker.name == "lorax_fault":
                parse_fault(given)
            else:
                read_script(given if isinstance(given, str) else json.dumps(given))
    except (FaultError, ScriptError) as error:
        return str(error)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the journal of a mock under a test that failed."""
    report = yield
    if report.when == "call" and report.failed:
        used = getattr(item, "funcargs", {})
        for name in ("lorax_mock", "lorax_mock_app"):
            server = used.get(name)
            if isinstance(server, MockServer):
                report.sections.append((f"{name} journal".replace("_", "-"), _journal(server)))
    return report


def _journal(server: MockServer) -> str:
    import httpx  # noqa: PLC0415 - every pytest run loads this module; only its users pay

    try:
        lines = [json.dumps(entry, ensure_ascii=False) for entry in server.journal]
    except httpx.HTTPError as error:
        lines = [f"the mock does not answer: {error!r}"]
    return "\n".join(lines) or "no request came"


@pytest.fixture(scope="session")
def lorax_mock_options() -> list[str]:
    """Options of `lorax-mock serve`; override it to have others."""
    return []


@pytest.fixture(scope="session")
def lorax_mock_server(lorax_mock_options: list[str]) -> Iterator[MockServer]:
    """The mock of this worker; tests ask for `lorax_mock`."""
    import httpx  # noqa: PLC0415 - every pytest run loads this module; only its users pay

    command = ["lorax_mock", "serve", "--port=0", "--announce=json"]
    with _process([*command, *lorax_mock_options]) as process:
        told = json.loads(_first_line(process, "lorax-mock"))
        with httpx.Client(base_url=told["url"], timeout=30) as client:
            yield MockServer(told["url"], told["model_id"], told["adapters"], client)


@pytest.fixture
def lorax_mock(lorax_mock_server: MockServer, request: pytest.FixtureRequest) -> MockServer:
    """A mock without earlier requests, with the script and faults that the test's markers name."""
    lorax_mock_server.reset()
    _obey_markers(lorax_mock_server, request)
    return lorax_mock_server


def _obey_markers(mock: MockServer, request: pytest.FixtureRequest) -> None:
    script = request.node.get_closest_marker("lorax_script")
    faults = request.node.get_closest_marker("lorax_fault")
    if script is not None:
        mock.script(script.args[0])
    if faults is not None:
        mock.faults(*faults.args)


@pytest.fixture
def lorax_mock_settings() -> "Settings | None":
    """Settings of `lorax_mock_app`; override it to have others."""
    return None


@pytest.fixture
def lorax_mock_app(
    lorax_mock_settings: "Settings | None", request: pytest.FixtureRequest
) -> "Iterator[LocalMock]":
    """A mock in this process, this test's own: `client()`, `async_client()`, `transport()`, `app`."""
    from lorax_mock.testing.inprocess import LocalMock  # noqa: PLC0415 - every pytest run loads this module; only its users pay

    with LocalMock(lorax_mock_settings) as mock:
        _obey_markers(mock, request)
        yield mock


@pytest.fixture(scope="session")
def lorax_proxy_options() -> list[str]:
    """Options of `lorax-proxy serve`; override it to have others."""
    return []


@pytest.fixture(scope="session")
def lorax_proxy(lorax_mock_server: MockServer, lorax_proxy_options: list[str]) -> Iterator[str]:
    """The address of a proxy before the mock, for any OpenAI client's `base_url`."""
    command = ["lorax_proxy", "serve", "--port=0", f"--upstream={lorax_mock_server.url}"]
    with _process([*command, *lorax_proxy_options]) as process:
        line = _first_line(process, "lorax-proxy")
        match = _URL.search(line)
        if match is None:
            pytest.fail(f"lorax-proxy did not tell its address: {line!r}")
        _until_ready(f"{match[0]}/ready")
        yield f"{match[0]}/v1"


@pytest.fixture
def openai_client(lorax_mock: MockServer, lorax_proxy: str) -> Iterator[Any]:
    """An `openai.OpenAI` that talks to the proxy before `lorax_mock`, without retries."""
    del lorax_mock  # asked for so that it is reset and scripted first
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=lorax_proxy, api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def async_openai_client(lorax_mock: MockServer, lorax_proxy: str) -> Any:
    """The same as `openai.AsyncOpenAI`, under any plugin that runs async tests.

    It is no async fixture, which each of these plugins would want marked as its own. So nobody
    closes it in the test's loop, and its connections end with their answers instead.
    """
    del lorax_mock
    openai = pytest.importorskip("openai")
    return openai.AsyncOpenAI(
        base_url=lorax_proxy,
        api_key="unused",
        max_retries=0,
        default_headers={"connection": "close"},
    )


@pytest.fixture
def lorax_client(lorax_mock: MockServer) -> Any:
    """LoRAX's own `lorax.Client`, on the mock itself."""
    return pytest.importorskip("lorax").Client(lorax_mock.url)


class _process:  # noqa: N801 - used as a statement, like the functions of contextlib
    """A Python module as a child, ended with the block, or with this process however that ends."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments

    def __enter__(self) -> subprocess.Popen[str]:
        self._child = subprocess.Popen(  # noqa: S603 - our own commands
            [sys.executable, "-P", "-m", "lorax_mock.testing.tether", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self._child

    def __exit__(self, *exception: object) -> None:
        self._child.terminate()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


def _until_ready(url: str) -> None:
    import httpx  # noqa: PLC0415 - every pytest run loads this module; only its users pay

    between = threading.Event()
    for _ in range(_LOOKS):
        if httpx.get(url, timeout=5).status_code == 200:
            return
        between.wait(_BETWEEN_SECONDS)
    pytest.fail(f"{url} did not become ready")


def _first_line(process: subprocess.Popen[str], name: str) -> str:
    output: IO[str] | None = process.stdout
    line = output.readline() if output is not None else ""
    if not line:
        pytest.fail(f"{name} did not start (exit code {process.wait()}); its stderr says why")
    return line
