"""The running mock: an ASGI application that gives requests to the pure wings and sends what they say.

`state` is all that a mock has. `app` finds the route (`routes`), `responder` sends what `inference` makes and gives to
the shard, which `batcher` drives while requests are open. `clock` alone knows the time.
"""
