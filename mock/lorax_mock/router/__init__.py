"""What LoRAX's router decides and tells about a request: checks in its order, `x-*` headers, health, metrics.

Everything here is a function of values; whoever calls it is in `server`.
"""
