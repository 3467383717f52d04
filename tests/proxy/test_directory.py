"""How a request finds its upstream, its target, its token and its template."""

from pathlib import Path
from typing import Any

import pytest

from lorax_proxy.app import create_app
from lorax_proxy.config import ModelSettings, UpstreamSettings
from lorax_proxy.errors import SettingsInvalid
from tests.proxy.running import INFO, Proxy, chat, ended, generation, lorax, running, settings_for
from tests.proxy.servers import Hold, ScriptedServer, Send, json_answer, refusing_port

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


def scripted(**info: Any) -> ScriptedServer:
    """A LoRAX that answers everything, with another /info."""
    whole = [Send(json_answer(generation("Hi")))]
    return ScriptedServer(lorax(generate=whole, stream=ended("Hi"), info={**INFO, **info}))


def asked(server: ScriptedServer) -> Any:
    """The last generation that was asked for."""
    return [each.json() for each in server.requests if each.path.startswith("/generate")][-1]


async def prompt_of(proxy: Proxy, server: ScriptedServer, model: str) -> str:
    """What a chat with a model becomes."""
    reply = await proxy.post(CHAT, {**chat(), "model": model})
    assert reply.status == 200, reply.body
    prompt: str = asked(server)["inputs"]
    return prompt


async def test_a_models_own_template_comes_before_the_global_and_its_familys(
    tmp_path: Path,
) -> None:
    """The model's setting, else the global one, else what the base model's family speaks."""
    own = tmp_path / "own.jinja"
    own.write_text("OWN {{ messages[0].content }}")
    models = [
        ModelSettings(name="mine", chat_template=str(own)),
        ModelSettings(name="plain", adapter="a/b"),
    ]
    async with scripted() as server:
        async with running(server, model=models, chat_template="chatml") as proxy:
            assert await prompt_of(proxy, server, "mine") == "OWN hi"
            assert (await prompt_of(proxy, server, "plain")).startswith("<|im_start|>")
        async with running(server, model=models) as proxy:
            assert await prompt_of(proxy, server, "plain") == "[INST] hi [/INST]"


async def test_a_tokenizers_folder_brings_its_template(tmp_path: Path) -> None:
    """--tokenizer FOLDER: the model's own chat_template.jinja."""
    (tmp_path / "chat_template.jinja").write_text("FOLDER {{ messages[0].content }}")
    async with scripted() as server, running(server, tokenizer=tmp_path) as proxy:
        assert await prompt_of(proxy, server, "") == "FOLDER hi"


async def test_a_template_from_elsewhere_gets_the_tokenizers_special_tokens(
    tmp_path: Path,
) -> None:
    """With both settings, the template is the one and the tokens are the other's."""
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<EOT>"}')
    template = tmp_path / "other.jinja"
    template.write_text("{{ messages[0].content }}{{ eos_token }}")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer_config.json").write_text('{"eos_token": "<MINE>"}')
    async with (
        scripted() as server,
        running(server, tokenizer=folder, chat_template=str(template)) as proxy,
    ):
        assert await prompt_of(proxy, server, "") == "hi<MINE>"


async def test_no_template_is_ever_guessed() -> None:
    """A base model of no known family: chat says which setting is missing, completions work."""
    async with scripted(model_id="someone/their-own-7b") as server, running(server) as proxy:
        refused = await proxy.post(CHAT, {**chat(), "model": ""})
        completed = await proxy.post(TEXT, {"model": "", "prompt": "x"})
    assert refused.status == 500
    assert refused.error["code"] == "chat_template_missing"
    assert "--chat-template" in refused.error["message"]
    assert completed.status == 200


async def test_a_template_that_breaks_is_named_with_its_line(tmp_path: Path) -> None:
    """The operator's to mend: not a bug of ours, and not the client's 400."""
    broken = tmp_path / "broken.jinja"
    broken.write_text("\n{% if messages[0].content == 'go' %}{{ 1 // 0 }}{% endif %}x")
    async with scripted() as server, running(server, chat_template=str(broken)) as proxy:
        reply = await proxy.post(CHAT, chat("go"))
        assert (await proxy.post(CHAT, chat("stay"))).status == 200
    assert reply.status == 500
    assert reply.error["code"] == "chat_template_failed"
    assert "broken.jinja, line 2" in reply.error["message"]
    assert reply.headers["x-should-retry"] == "false"


async def test_an_adapters_token_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its variable is named in the settings; without the variable nothing starts."""
    model = ModelSettings(name="mine", adapter="a/b", source="hub", token_env="THE_TOKEN")
    monkeypatch.setenv("THE_TOKEN", "hf_secret")
    async with scripted() as server, running(server, model=[model]) as proxy:
        await proxy.post(TEXT, {"model": "mine", "prompt": "x"}, authorization="Bearer mine")
        parameters = asked(server)["parameters"]
        assert all("authorization" not in each.headers for each in server.requests)
    assert parameters["adapter_id"] == "a/b"
    assert parameters["adapter_source"] == "hub"
    assert parameters["api_token"] == "hf_secret"
    monkeypatch.delenv("THE_TOKEN")
    upstream = [UpstreamSettings(url="http://lorax")]
    with pytest.raises(SettingsInvalid, match="THE_TOKEN, which is not set"):
        create_app(settings_for(upstream=upstream, model=[model]))


async def test_models_go_to_their_upstreams() -> None:
    """Each base model, and each configured name, to its own server; unlisted ones to the first."""
    async with (
        scripted() as first,
        scripted(model_id="Qwen/Qwen2.5-7B-Instruct") as second,
        running(
            first,
            second,
            model=[ModelSettings(name="other", upstream="second")],
            allow_unlisted="hub",
        ) as proxy,
    ):
        for name, server in (
            ("", first),
            (INFO["model_id"], first),
            ("Qwen/Qwen2.5-7B-Instruct", second),
            ("other", second),
            ("org/unlisted", first),
            ("Qwen/Qwen2.5-7B-Instruct:org/unlisted2", second),
        ):
            await proxy.post(TEXT, {"model": name, "prompt": f"to {name}"})
            assert asked(server)["inputs"] == f"to {name}"
        listed = [each["id"] for each in (await proxy.get("/v1/models")).json()["data"]]
    assert listed == [INFO["model_id"], "Qwen/Qwen2.5-7B-Instruct", "other"]


async def test_another_upstream_does_not_stand_in_for_the_default() -> None:
    """The default is away: what goes there waits, what names another upstream is served."""
    with refusing_port() as port:
        async with scripted(model_id="Qwen/Qwen2.5-7B-Instruct") as second:
            upstreams = [
                UpstreamSettings(url=f"http://127.0.0.1:{port}", name="first"),
                UpstreamSettings(url=second.url, name="second"),
            ]
            async with running(upstream=upstreams, connect_retries=0) as proxy:
                for name, status in (
                    ("Qwen/Qwen2.5-7B-Instruct", 200),
                    ("", 503),
                    ("org/unlisted", 503),
                    (INFO["model_id"], 503),
                ):
                    reply = await proxy.post(TEXT, {"model": name, "prompt": "x"})
                    assert reply.status == status, name
    assert not [each for each in second.requests if each.path == "/generate_stream"]


async def test_an_upstream_has_one_kind() -> None:
    """Text is not asked of an embedding server, nor embeddings of one that generates."""
    async with scripted() as text, scripted(model_id="BAAI/bge-small") as vectors:
        upstreams = [
            UpstreamSettings(url=text.url, name="text"),
            UpstreamSettings(url=vectors.url, name="vectors", kind="embed"),
        ]
        async with running(upstream=upstreams, allow_unlisted="none") as proxy:
            wrong = await proxy.post(TEXT, {"model": "BAAI/bge-small", "prompt": "x"})
        async with running(upstream=upstreams[:1]) as proxy:
            none = await proxy.post("/v1/embeddings", {"model": "x", "input": "x"})
    assert wrong.status == 404
    assert not [each for each in vectors.requests if each.path.startswith("/generate")]
    assert none.status == 404
    assert none.error["code"] == "model_not_found"
    assert "embed" in none.error["message"]


async def test_models_are_listed_once_every_server_was_asked() -> None:
    """Whoever asks as soon as the proxy listens sees the base model; a server that is not there is left out."""
    hold = Hold()
    script = lorax(more={"/info": [hold, Send(json_answer(INFO))]})
    with refusing_port() as port:
        async with ScriptedServer(script) as server:
            upstreams = [
                UpstreamSettings(name="slow", url=server.url),
                UpstreamSettings(name="gone", url=f"http://127.0.0.1:{port}"),
            ]
            async with running(upstream=upstreams, connect_retries=0) as proxy:
                listing = await proxy.open("GET", "/v1/models")
                await server.until_asked("/info", 1)
                hold.gate.set()
                assert INFO["model_id"].encode() in await listing.until(b"]}")
