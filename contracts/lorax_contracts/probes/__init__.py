"""Requests made to show whether a promise is kept: one module a family of laws.

A probe asks through a `Session`, which judges every reply by itself; what a probe adds is what only
the choice of requests can show: that something right is accepted, something wrong refused, and that
two replies agree. Probes only read: they generate a few tokens and change nothing on the server.
"""
