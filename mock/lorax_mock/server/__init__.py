"""The running mock: an ASGI application that hands requests to the pure packages and sends what they return.

`state` is all that a mock has. `app` finds the route (`routes`), `responder` sends what `inference` makes and gives to
the shard, which `batcher` drives while requests are open. `clock` alone knows the time.
"""
