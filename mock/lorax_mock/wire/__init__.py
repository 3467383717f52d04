"""Requests as values and replies as bytes, field for field and in the router's order.

`native` and `replies` are LoRAX's own API, `openai` and `openai_replies` its `/v1` routes, `info` and `apidoc` what it
tells about itself. It knows no socket and decides nothing.
"""
