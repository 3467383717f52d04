"""What LoRAX's own router answered, exchange by exchange, asked of the mock again.

`recorded_router/exchanges.jsonl.gz` was recorded from LoRAX's router at commit a7394ba3, built from its source
and run with `--max-input-length 4095 --max-total-tokens 4096 --max-stop-sequences 4 --max-best-of 2`. The
tokenizer beside the recording is the one it ran with, trained for this. Behind the router stood a scripted shard
that said `_SAID` to every prompt, and then EOS. So the exchanges hold the mock to the router (routes, serde's
refusals, validation, templates, encodings, headers and their order), and tell nothing of LoRAX's shard.

A line is one exchange: `method`, `path`, `headers` (pairs, as sent), `body` (text) or `body_base64` or neither;
`status`, `reply_headers` (pairs, in the router's order), `reply` (text). Left out of the headers are `date` and
`content-length`; a `#` stands for times there, and in bodies for the values of `id`, `created`, `logprob`, `seed`
and `system_fingerprint` (but nulls), which depend on the model, the moment or the router's build.
"""

import base64
import gzip
import http.client
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from lorax_mock.files.tokenizer import read_tokenizer
from lorax_mock.files.tokenizer_config import read_config
from lorax_mock.settings import Settings
from lorax_mock.testing.inprocess import LocalMock
from tests.mock.conftest import Running

_FOLDER: Final = Path(__file__).with_name("recorded_router")
_COUNT: Final = 2326
_SAID: Final = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu"
_RULE: Final = json.dumps({"rules": [{"reply": {"text": _SAID}}]})
_SHOWN: Final = 3
"""Differences that a failure prints; the rest is counted."""

_TIMES: Final = re.compile(r"x-.*-time|x-time-.*")
_CHANGING: Final = re.compile(
    r'"(id|created|logprob|seed|system_fingerprint)":("[^"]*"|-?[0-9][^,}\]]*)'
)

_Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class _Reply:
    """An answer without what changes from one moment to the next."""

    status: int
    headers: _Pairs
    body: str


@dataclass(frozen=True)
class _Recorded:
    """One exchange of the file."""

    method: str
    path: str
    headers: _Pairs
    body: bytes
    reply: _Reply


def _reply(status: int, headers: Iterable[tuple[str, str]], body: str) -> _Reply:
    kept = [
        (name, "#" if _TIMES.fullmatch(name) else value)
        for name, value in headers
        if name not in ("date", "content-length")
    ]
    return _Reply(status, kept, _CHANGING.sub(r'"\1":#', body))


def _recorded() -> Iterator[_Recorded]:
    for line in gzip.decompress((_FOLDER / "exchanges.jsonl.gz").read_bytes()).splitlines():
        row = json.loads(line)
        sent = base64.b64decode(row.get("body_base64", "")) or row.get("body", "").encode()
        headers = [(name, value) for name, value in row["headers"]]
        if "body" in row or "body_base64" in row:
            headers.append(("Content-Length", str(len(sent))))
        told = [(name, value) for name, value in row["reply_headers"]]
        yield _Recorded(
            row["method"], row["path"], headers, sent, _Reply(row["status"], told, row["reply"])
        )


def _compare(ask: Callable[[_Recorded], _Reply]) -> None:
    """Fail, if the mock answers otherwise, with the first few differences in full."""
    count, wrong = 0, []
    for one in _recorded():
        count += 1
        reply = ask(one)
        if reply != one.reply:
            wrong.append(f"{one.method} {one.path} {one.body!r}\n  {one.reply}\n  {reply}")
    assert count == _COUNT
    if wrong:
        pytest.fail("\n".join([*wrong[:_SHOWN], f"{len(wrong)} of {count} differ"]), pytrace=False)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """The folder's tokenizer as a model has it: `tokenizer.json` and its configuration."""
    config = "tokenizer_config.json"
    (tmp_path / config).write_bytes((_FOLDER / config).read_bytes())
    path = tmp_path / "tokenizer.json"
    path.write_bytes(gzip.decompress((_FOLDER / "tokenizer.json.gz").read_bytes()))
    return path


@pytest.mark.slow
def test_a_running_mock_answers_as_the_router_did(
    start_mock: Callable[..., Running], tokenizer: Path, tmp_path: Path
) -> None:
    """Each recorded exchange gets the router's status, headers in their order and body, on kept connections."""
    script = tmp_path / "rule.json"
    script.write_text(_RULE, "utf-8")
    running = start_mock(
        *("--tokenizer", str(tokenizer), "--model-id", "model"),
        *("--unknown-adapters", "--script", str(script)),
    )
    address = urlsplit(running.url)

    def ask(one: _Recorded) -> _Reply:
        connection.putrequest(one.method, one.path, skip_host=True, skip_accept_encoding=True)
        for name, value in one.headers:
            connection.putheader(name, value)
        connection.endheaders(one.body)
        answer = connection.getresponse()
        body = answer.read()
        if "transfer-encoding" not in answer.headers and one.method != "HEAD":
            assert answer.headers["content-length"] == str(len(body)), one
        return _reply(answer.status, answer.getheaders(), body.decode())

    with closing(http.client.HTTPConnection(address.netloc, timeout=10)) as connection:
        _compare(ask)


@pytest.mark.slow
def test_a_mock_in_process_answers_as_the_router_did(tokenizer: Path) -> None:
    """Each recorded exchange gets the router's answer in process, but for how a body is framed."""
    config = read_config(tokenizer.with_name("tokenizer_config.json"))
    settings = Settings(
        model_id="model",
        unknown_adapters=True,
        chat_template=config.chat_template,
        template_tokens=(config.bos_token, config.eos_token),
    )
    with LocalMock(settings, tokenizer=read_tokenizer(tokenizer)) as mock, mock.client() as client:
        mock.script(json.loads(_RULE))

        def ask(one: _Recorded) -> _Reply:
            url = f"{mock.url}{one.path}"  # whole: a path of two slashes names a host
            request = client.build_request(one.method, url, content=one.body)
            request.headers.clear()
            request.headers.update(one.headers)
            answer = client.send(request)
            headers = [
                (name.decode(), value.decode("latin-1")) for name, value in answer.headers.raw
            ]
            if one.reply.headers[-1] == ("transfer-encoding", "chunked"):
                headers.append(one.reply.headers[-1])
            return _reply(answer.status_code, headers, answer.text)

        _compare(ask)
