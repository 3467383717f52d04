"""Constrained text as outlines and interegular make it in LoRAX's shard.

A JSON `schema` becomes a `regex`, a `grammar` is the shape that it admits, and `patterns` and `sample` draw a text of
that shape. It knows neither requests nor tokens.
"""
