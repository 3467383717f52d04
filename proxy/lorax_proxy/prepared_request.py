"""One request, understood: what it takes to carry it out, and to tell its client what failed."""

from collections.abc import Sequence

import msgspec

from lorax_proxy.core import failures
from lorax_proxy.core.plan import Plan
from lorax_proxy.core.style import Style
from lorax_proxy.errors import Failure, Lost
from lorax_proxy.readiness import Upstream
from lorax_proxy.upstream.transport import Transport
from lorax_proxy.wire.openai_replies import Identity

__all__ = ["Headers", "PreparedRequest", "tell_failure"]

Headers = Sequence[tuple[str, str]]


class PreparedRequest(msgspec.Struct, frozen=True):
    """One request, understood: everything that is needed to carry it out and to answer.

    Attributes:
        transport: The way to the upstream: its own, or one that shows what passes.
        epoch: The upstream's epoch that the plan was made for; None if any server may get it.
        adapters: The LoRAX adapter ids that it loads.
        bos: What `/generate` puts before a prompt, for prompts that are echoed with logprobs.
        headers: Headers that the answer has besides the usual.
    """

    plan: Plan
    upstream: Upstream
    transport: Transport
    epoch: int | None
    adapters: tuple[str, ...]
    bos: str | None
    identity: Identity
    style: Style
    stream: bool
    usage_asked: bool
    headers: Headers

    def failed(self, failure: Failure) -> failures.ApiError:
        """What the client is told of a failure."""
        return tell_failure(
            failure,
            self.upstream,
            adapter=self.identity.model if self.adapters else None,
            prompt_param=self.style.prompt_param,
        )


def tell_failure(
    failure: Failure,
    upstream: Upstream,
    *,
    adapter: str | None,
    prompt_param: str,
) -> failures.ApiError:
    """What a client is told of a failure; after a lost connection the upstream is asked anew."""
    if failure in (Lost.UNREACHABLE, Lost.CONNECT_TIMEOUT, Lost.CUT):
        upstream.doubt()
    return failures.answer(failure, adapter=adapter, prompt_param=prompt_param)
