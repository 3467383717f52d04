"""Copies for LoRAX's Python client: what the mock's page gives in a browser, and what is run with the client itself.

The two need environments of their own, so each takes the copies from here: the browser's suite that the page gives
exactly these, the client's suite that they run.
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ADDRESS", "ASKED", "COPIES"]

ADDRESS: Final = "http://127.0.0.1:8080"
"""The mock of the copies."""

ASKED: Final[Mapping[str, Mapping[str, Any]]] = {
    "/generate": {
        "inputs": 'It\'s "quoted" \\ and $HOME,\n`two` lines \u2028 \U0001f389',
        "parameters": {
            "adapter_id": "acme/poet",
            "max_new_tokens": 9,
            "stop": ["\n", 'null, "true": false'],
            "seed": 2**64 - 1,
            "do_sample": True,
            "watermark": True,
            "details": True,
        },
    },
    "/generate_stream": {
        "inputs": "who",
        "parameters": {
            "best_of": 1,
            "max_new_tokens": 40,
            "response_format": {
                "type": "json_schema",
                "schema": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        },
    },
}
"""What is asked on the route of that path."""

COPIES: Final[Mapping[str, str]] = {
    "/generate": """from lorax import Client

client = Client("http://127.0.0.1:8080")
answer = client.generate(
    "It's \\"quoted\\" \\\\ and $HOME,\\n`two` lines \u2028 \U0001f389",
    adapter_id="acme/poet",
    do_sample=True,
    max_new_tokens=9,
    stop_sequences=["\\n", "null, \\"true\\": false"],
    watermark=True,
    seed=18446744073709551615,
)
print(answer.generated_text)
""",
    "/generate_stream": """from lorax import Client

# lorax-client has no best_of for streams
client = Client("http://127.0.0.1:8080")
for event in client.generate_stream(
    "who",
    max_new_tokens=40,
    response_format={"type": "json_object", "schema": {"type": "object", "properties": {}, "additionalProperties": False}},
):
    if not event.token.special:
        print(event.token.text, end="")
""",
}
"""The copy of each, with which the client asks the same again, but for what it cannot ask."""
