"""`/v1/chat/completions` and `/v1/completions`, as LoRAX serves them."""

from typing import Final

from lorax_mock.http.axum import Exchange, Routes
from lorax_mock.prompt.chat import prepare
from lorax_mock.prompt.tools import message_of, plain_message
from lorax_mock.server.clock import today
from lorax_mock.server.responder import Responder
from lorax_mock.server.state import State
from lorax_mock.wire.native import Generated
from lorax_mock.wire.openai import (
    CHAT_REQUEST,
    COMPLETION_REQUEST,
    ChatRequest,
    chat_to_native,
    completion_to_native,
)
from lorax_mock.wire.openai_replies import (
    DONE,
    encode_chat,
    encode_chat_chunk,
    encode_completion,
    encode_completion_chunk,
)

__all__ = ["openai_routes"]

_CREATED: Final = 1_700_000_000
"""The one moment at which chats are created while time is virtual: equal requests give equal bytes."""


def openai_routes(state: State, responder: Responder) -> Routes:
    """Their handlers."""
    settings, tokenizer = state.settings, state.tokenizer
    body_bytes = settings.limits.body_bytes
    bos: str | None
    eos: str | None
    if settings.template_tokens is None:
        bos = None if tokenizer.bos is None else tokenizer.decode([tokenizer.bos])
        eos = tokenizer.decode([tokenizer.eos])
    else:
        bos, eos = settings.template_tokens

    async def chat(exchange: Exchange) -> None:
        asked: ChatRequest = await exchange.json(CHAT_REQUEST, body_bytes)
        # Template and tool errors come before the stream, so they keep their status.
        inputs, form, calls = prepare(asked, settings.chat_template, bos=bos, eos=eos)
        request = chat_to_native(asked, settings.model_id, inputs, form)
        if request.stream:
            await responder.stream(exchange, request, encode_chat_chunk, DONE)
            return

        def encode(best: Generated, others: tuple[Generated, ...]) -> bytes:
            read = message_of if calls else plain_message
            # One sequence was run, so there are no losers to show.
            shown = (best, *others) if (request.parameters.best_of or 1) > 1 else (best,)
            created = today() if state.settings.costs.paced else _CREATED
            return encode_chat(best, [read(one.text) for one in shown], settings.model_id, created)

        await responder.answer(exchange, request, encode)

    async def completions(exchange: Exchange) -> None:
        asked = await exchange.json(COMPLETION_REQUEST, body_bytes)
        request = completion_to_native(asked, settings.model_id)
        if request.stream:
            await responder.stream(exchange, request, encode_completion_chunk, DONE)
            return
        prompt = request.inputs if request.parameters.return_full_text else ""
        await responder.answer(exchange, request, lambda best, _: encode_completion(best, prompt))

    return {"/v1/chat/completions": {"POST": chat}, "/v1/completions": {"POST": completions}}
