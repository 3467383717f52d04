"""What a check finds in settings that are right by themselves, and at the servers behind them."""

from pathlib import Path
from typing import Any

import pytest

from lorax_proxy.config import Settings
from lorax_proxy.demo import running_mock
from lorax_proxy.diagnosis import Level, examine, probe
from tests.proxy.running import INFO, lorax
from tests.proxy.servers import ScriptedServer


def _settings(url: str = "http://127.0.0.1:1", **more: Any) -> Settings:
    document: dict[str, Any] = {"upstream": [{"url": url}], "connect_retries": 0, **more}
    return Settings(**document)


def _faults(settings: Settings) -> list[str]:
    return [finding.text for finding in examine(settings) if finding.level is Level.FAULT]


async def _probed(settings: Settings, *models: str) -> list[tuple[str, str]]:
    return [(each.level.value, each.text) async for each in probe(settings, models)]


def test_all_that_is_named_and_not_there_is_told(tmp_path: Path) -> None:
    """Variables of upstreams and models, templates of each place; what is there is told too."""
    upstream = {"url": "http://x", "token_env": "NO_GATEWAY"}
    models = [
        {"name": "a", "token_env": "NO_TOKEN"},
        {"name": "b", "chat_template": "chatlm"},
        {"name": "c", "chat_template": "chatml"},
    ]
    settings = _settings(upstream=[upstream], model=models, tokenizer=tmp_path)
    first, second, third, fourth = _faults(settings)
    assert first == "upstream 'default': token_env names NO_GATEWAY, which is not set"
    assert second == "model 'a': token_env names NO_TOKEN, which is not set"
    assert third.startswith(f"tokenizer: {tmp_path}")
    assert fourth.startswith("model 'b': chat_template: ")
    assert "did you mean chatml?" in fourth
    told = [finding.text for finding in examine(settings) if finding.level is Level.OK]
    assert told == ["model 'c': chat_template: chatml"]


def test_nothing_to_serve_is_a_fault() -> None:
    """A file without an upstream is right, and serves nobody."""
    assert _faults(Settings()) == [
        "no LoRAX to serve: name one with [[upstream]] or --upstream URL"
    ]


@pytest.mark.slow
async def test_a_probe_tells_what_answers_and_what_to_change() -> None:
    """Server, template, limits; each model for one token, also one that nobody configured."""
    with running_mock() as mock:
        ids = list(mock.adapters[:2])
        model = {"name": "two", "merge": {"ids": ids, "weights": [0.5, 0.5]}}
        base = {"name": "plain"}
        settings = _settings(mock.url, model=[model, base], allow_unlisted="hub")
        (_, who), template, budget, vocabulary, merged, plain = await _probed(settings)
        assert mock.model_id in who
        assert "4096 in all, 4 stop strings" in who
        assert template == ("ok", "upstream 'default': chat template llama-3.1")
        assert [level for level, _ in (budget, vocabulary)] == ["note", "note"]
        assert merged == ("ok", f"model 'two': {', '.join(ids)} answers")
        assert plain == ("ok", f"model 'plain': {mock.model_id} answers")
        *_, nobody, none = await _probed(settings, "acme/nobody", "nobody")
        assert nobody[0] == "fault"
        assert "Repository Not Found" in nobody[1]
        assert none == (
            "fault",
            "model 'nobody': The model `nobody` does not exist or you do not have access to it.",
        )


async def test_a_server_that_is_away_is_told_with_its_address() -> None:
    """And its models are asked for all the same, so that each is told."""
    told = await _probed(_settings(model=[{"name": "a"}]))
    assert told == [
        (
            "fault",
            "upstream 'default': http://127.0.0.1:1 could not be reached; is LoRAX running there?",
        ),
        ("fault", "model 'a': is not known yet: its /info has not answered"),
    ]


async def test_a_model_without_a_template_is_a_fault() -> None:
    """Chat would fail; what to set is told."""
    async with ScriptedServer(lorax(info={**INFO, "model_id": "acme/unknown"})) as server:
        told = await _probed(_settings(server.url))
    (fault,) = [text for level, text in told if level == "fault"]
    assert "no chat template is known for acme/unknown" in fault
