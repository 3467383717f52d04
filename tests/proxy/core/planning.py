"""Plans by the line, for a test that needs processes with different hash seeds.

Run as `python -m tests.proxy.core.planning`: each line of standard input is a chat request, each
line of standard output what LoRAX is asked for, or the refusal.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lorax_proxy.core.chat_plan import PreparedTemplate, plan_chat
from lorax_proxy.core.parameters import Endpoint, sort_parameters
from lorax_proxy.core.parsing import read_request
from lorax_proxy.core.plan import Facts
from lorax_proxy.core.routing import Base, Route
from lorax_proxy.core.template.chat_template import ChatTemplate, SpecialTokens
from lorax_proxy.errors import RequestRefused
from lorax_proxy.wire.lorax import encode
from lorax_proxy.wire.openai_requests import ChatRequest

__all__ = ["FACTS", "NOW", "TEMPLATE", "bodies"]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TEMPLATE = PreparedTemplate.of(
    ChatTemplate.compile(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}",
        "test",
        SpecialTokens(bos_token="<s>", spellings=frozenset({"<s>"})),
    ),
    "split",
)
FACTS = Facts("base/one", "fp", max_stop_sequences=2, bos="<s>", text_only=True)


def bodies(document: Mapping[str, Any]) -> Iterator[str]:
    """The bodies that LoRAX is sent for a request, or what the client is told instead."""
    try:
        kept = sort_parameters(document, Endpoint.CHAT, ignore_unsupported=True).document
        request = read_request(ChatRequest, kept)
        plan = plan_chat(request, Route("m", "one", Base()), FACTS, TEMPLATE, NOW)
    except RequestRefused as error:
        yield f"{error.status} {error.param} {error.code} {error.message}"
        return
    for each in plan.requests:
        yield encode(each).decode()


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(list(bodies(json.loads(line)))) + "\n")
