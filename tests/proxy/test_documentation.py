"""The document says what is served; the page that shows it needs no network but this server, and no key."""

import json
import re
from importlib.metadata import version

from tests.proxy.running import INFO, chat, ended, generation, lorax, running
from tests.proxy.servers import ScriptedServer, Send, json_answer

CHAT = "/v1/chat/completions"
TEXT = (CHAT, "/v1/completions", "/v1/embeddings")


def scripted() -> ScriptedServer:
    """A LoRAX that answers."""
    return ScriptedServer(lorax(generate=[Send(json_answer(generation("Hi")))], stream=ended("Hi")))


async def test_the_document_describes_what_is_served() -> None:
    """/openapi.json has the POSTs with their bodies and our version; what it gives as examples is answered."""
    async with scripted() as server, running(server) as proxy:
        told = (await proxy.get("/openapi.json")).json()
        posts = {path: told["paths"][path]["post"] for path in TEXT}
        bodies = {
            path: post["requestBody"]["content"]["application/json"] for path, post in posts.items()
        }
        for path in TEXT[:2]:
            example = bodies[path]["example"] | {"model": INFO["model_id"]}
            assert (await proxy.post(path, example)).status == 200
    assert told["info"]["version"] == version("lorax-openai")
    assert all("$ref" in json.dumps(body["schema"]) for body in bodies.values())
    for reference in re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(told)):
        assert reference in told["components"]["schemas"]
    assert {"/models", "/models/{name}", "/health", "/ready", "/metrics"} <= set(told["paths"])
    properties = told["components"]["schemas"]["ChatRequest"]["properties"]
    assert {"messages", "tools", "stream"} <= set(properties)


async def test_the_document_says_who_needs_a_key() -> None:
    """A bearer's everywhere but at the probes, and nowhere when there is none to give."""
    async with scripted() as server:
        async with running(server, api_key="k") as proxy:
            keyed = (await proxy.get("/openapi.json")).json()
        async with running(server) as proxy:
            free = (await proxy.get("/openapi.json")).json()
    assert keyed["security"] == [{"bearer": []}]
    assert free["security"] == [{"bearer": []}, {}]
    for told in (keyed, free):
        scheme = told["components"]["securitySchemes"]["bearer"]
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        open_ = [
            path
            for path, item in told["paths"].items()
            if any(operation.get("security") == [] for operation in item.values())
        ]
        assert sorted(open_) == ["/health", "/ready"]


async def test_the_page_opens_without_a_key_and_without_another_server() -> None:
    """Every file that it names is here, its styles name none, and its policy lets the browser ask nobody else."""
    async with scripted() as server, running(server, api_key="k") as proxy:
        for path in ("/docs", "/v1/docs"):
            page = await proxy.get(path)
            text = page.body.decode()
            assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "//" not in re.sub("<!--.*?-->", "", text)
            files = re.findall(r'(?:src|href)="([^"]+)"', text) + re.findall(
                r"url: '([^']+)'", text
            )
            assert len(files) == 4
            for file in files:
                found = await proxy.get(file)
                assert found.status == 200, file
                if found.headers["content-type"].startswith("text/css"):
                    assert not re.search(rb"@import|url\((?!['\"]?data:)", found.body)
            policy = dict(
                part.strip().split(" ", 1)
                for part in page.headers["content-security-policy"].split(";")
            )
            sources = {word for words in policy.values() for word in words.split()}
            assert policy["default-src"] == "'self'"
            assert sources <= {"'self'", "'unsafe-inline'", "data:", "'none'"}


async def test_the_page_lets_nobody_past_the_key() -> None:
    """What it calls needs one, whatever path it is called by; so do other people's names of this server."""
    async with scripted() as server:
        async with running(server, api_key="k") as proxy:
            for path in ("/docs/../v1/models", "/v1/models", "/docs2", "/redoc", "/metrics"):
                assert (await proxy.get(path)).status in {401, 404}, path
            assert (await proxy.get("/docs/static/../core.py")).status == 404
            assert (await proxy.post(CHAT, chat())).status == 401
            assert (await proxy.post(CHAT, chat(), authorization="Bearer k")).status == 200
        async with running(server) as proxy:
            assert (await proxy.get("/docs", host="evil.example")).status == 403
