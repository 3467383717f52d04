"""A stateful machine for servers with adapters: asked in any order, streams opened, left and cancelled.

What a single request cannot show is whether requests disturb one another. The machine interleaves
them and holds one model of the truth: *a greedy, seeded request to an adapter always gets the same
answer*, whatever was loaded, evicted, failed, streamed or cancelled in between. So it learns each
adapter's answer when it first hears it and compares ever after:

- plain requests and whole streams give the learned answer;
- an open stream gives a beginning of it, however other requests are mixed in between its events;
- a stream that the client leaves does not disturb the next request;
- an adapter that cannot be loaded is refused each time and takes nobody with it;
- more adapters than the server holds at once only cost time;
- with `distinct`, no adapter says what another says.

    from lorax_contracts.machine import Driver, machine_for

    TestMyServer = machine_for(lambda: Driver("http://localhost:8000", ["a/b", "c/d"])).TestCase

`Driver` speaks to any OpenAI-compatible server through `client`; give another class with the same
methods to drive something else.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from lorax_contracts.client import Bounds, Client, OpenStream
from lorax_contracts.relations import answer_of

__all__ = ["AdapterServer", "Driver", "Stream", "machine_for"]

_PROMPT = "Write the numbers from one to forty as words, separated by commas."


class Stream(Protocol):
    """A stream that is open."""

    def more(self) -> str | None:
        """The next text; None when the stream has ended well."""
        ...

    def leave(self) -> None:
        """Closes the connection."""
        ...


class AdapterServer(Protocol):
    """What the machine drives."""

    @property
    def adapters(self) -> Sequence[str]:
        """Names that it can serve."""
        ...

    @property
    def failing(self) -> Sequence[str]:
        """Names that it must refuse; one that nobody has when empty."""
        ...

    def ask(self, adapter: str) -> str | None:
        """The whole answer of an adapter, greedy and seeded; None when it is refused."""
        ...

    def open(self, adapter: str) -> Stream | None:
        """The same as a stream; None when it is refused."""
        ...

    def alive(self) -> bool:
        """Whether the server still answers."""
        ...

    def close(self) -> None:
        """Lets go of all connections."""
        ...


class _ChatStream:
    """An open chat stream as texts."""

    def __init__(self, stream: OpenStream) -> None:
        self._stream = stream

    def more(self) -> str | None:
        for event in self._stream.events():
            if event.is_done:
                return None
            value: Any = event.value
            if not isinstance(value, dict) or "choices" not in value:
                raise AssertionError(f"not a chunk: {event.raw!r}")
            text = "".join(choice["delta"].get("content") or "" for choice in value["choices"])
            if text:
                return text
        raise AssertionError("the stream ended without [DONE]")

    def leave(self) -> None:
        self._stream.close()


class Driver:
    """An OpenAI-compatible server, reached over HTTP."""

    def __init__(
        self,
        url: str,
        adapters: Sequence[str],
        failing: Sequence[str] = (),
        *,
        key: str | None = None,
        max_tokens: int = 12,
    ) -> None:
        """Nothing is sent yet.

        Args:
            url: the address, with or without /v1.
            adapters: names that the server can serve.
            failing: names that it must refuse.
            key: sent as a bearer token.
            max_tokens: the budget of every request.
        """
        base = url.rstrip("/").removesuffix("/v1") + "/v1"
        self.adapters: Sequence[str] = list(adapters)
        self.failing: Sequence[str] = list(failing)
        self._most = max_tokens
        self._client = Client(base, key=key, bounds=Bounds(requests=100_000, seconds=3600))

    def _request(self, adapter: str, **members: Any) -> dict[str, Any]:
        return {
            "model": adapter,
            "messages": [{"role": "user", "content": _PROMPT}],
            "temperature": 0,
            "seed": 7,
            "max_tokens": self._most,
            **members,
        }

    def ask(self, adapter: str) -> str | None:
        """The whole answer; None for a 4xx."""
        exchange = self._client.ask("POST", "/chat/completions", self._request(adapter))
        if 400 <= exchange.status < 500:
            return None
        answer = answer_of(exchange)
        assert answer is not None, f"{exchange.status} {exchange.body[:200]!r}"  # noqa: S101 - a test's assertion
        return answer.choices[0].text

    def open(self, adapter: str) -> Stream | None:
        """An open stream; None for a 4xx."""
        stream = self._client.open("POST", "/chat/completions", self._request(adapter, stream=True))
        if 400 <= stream.status < 500:
            stream.close()
            return None
        assert stream.status == 200, stream.status  # noqa: S101 - a test's assertion
        return _ChatStream(stream)

    def alive(self) -> bool:
        """Whether the model list is there."""
        return self._client.ask("GET", "/models").status == 200

    def close(self) -> None:
        """Closes idle connections."""
        self._client.close()


class _Heard:
    """What was heard of one open stream."""

    def __init__(self, adapter: str, stream: Stream) -> None:
        self.adapter = adapter
        self.stream = stream
        self.text = ""
        self.over = False


def machine_for(
    make: Callable[[], AdapterServer], *, distinct: bool = False
) -> type[RuleBasedStateMachine]:
    """A machine on the server that `make` reaches; `.TestCase` of it is a unittest and pytest test.

    Args:
        make: called for each run of the machine, and not before the first one: a fixture may start the
            server. The server itself may live longer.
        distinct: the adapters are known to answer differently; two that say the same are then a
            finding too: one of them is answered by the other.
    """

    @cache
    def names() -> tuple[list[str], list[str]]:
        server = make()
        server.close()
        return list(server.adapters), list(server.failing) or ["no-such-adapter-q7x"]

    adapters = st.deferred(lambda: st.sampled_from(names()[0]))
    failing = st.deferred(lambda: st.sampled_from(names()[1]))

    class Machine(RuleBasedStateMachine):
        """One run: a server, what was learned of its adapters, and the streams that are open."""

        streams: Bundle[_Heard] = Bundle("streams")

        def __init__(self) -> None:
            super().__init__()
            self.server = make()
            self.learned: dict[str, str] = {}
            self.open_streams: list[_Heard] = []

        def _compare(self, adapter: str, text: str) -> None:
            known = self.learned.setdefault(adapter, text)
            assert text == known, f"{adapter} said {known!r} before, now {text!r}"  # noqa: S101 - a test's assertion
            same = [name for name, other in self.learned.items() if other == text]
            assert not distinct or same == [adapter], f"{' and '.join(same)} all say {text!r}"  # noqa: S101 - a test's assertion

        @rule(adapter=adapters)
        def ask(self, adapter: str) -> None:
            text = self.server.ask(adapter)
            assert text is not None, f"{adapter} was refused"  # noqa: S101 - a test's assertion
            self._compare(adapter, text)

        @rule(adapter=failing)
        def ask_failing(self, adapter: str) -> None:
            assert self.server.ask(adapter) is None, f"{adapter} was answered"  # noqa: S101 - see above

        @rule(target=streams, adapter=adapters)
        def open_stream(self, adapter: str) -> _Heard:
            stream = self.server.open(adapter)
            assert stream is not None, f"{adapter} was refused"  # noqa: S101 - a test's assertion
            heard = _Heard(adapter, stream)
            self.open_streams.append(heard)
            return heard

        @rule(heard=streams, times=st.integers(1, 3))
        def listen(self, heard: _Heard, times: int) -> None:
            for _ in range(times):
                if heard.over:
                    return
                text = heard.stream.more()
                if text is None:
                    heard.over = True
                    self._compare(heard.adapter, heard.text)
                else:
                    heard.text += text
            known = self.learned.get(heard.adapter)
            assert known is None or known.startswith(heard.text), (  # noqa: S101 - see above
                f"{heard.adapter} said {known!r} before, its stream begins {heard.text!r}"
            )

        @rule(heard=consumes(streams))
        def leave(self, heard: _Heard) -> None:
            heard.stream.leave()
            heard.over = True

        @invariant()
        def still_alive(self) -> None:
            assert self.server.alive()  # noqa: S101 - a test's assertion

        def teardown(self) -> None:
            for heard in self.open_streams:
                heard.stream.leave()
            self.server.close()

    return Machine
