"""The running mock: an ASGI application that gives requests to the pure wings and sends what they say.

`app` finds the route (`routes`), `generating` gives a request its sequences, `batching` drives the shard while
requests are open, and `answering` sends. `clock` alone knows the time.
"""
