"""HTTP/1 as the router's crates speak it: hyper 1.5.0 on the socket, axum and tower-http above it.

`heads` and `bodies` read, `cycle` writes, `hyper` is the connection of those three; `axum` is what a route sees, and
`serving` binds and ends. What a request is about is not known here.
"""
