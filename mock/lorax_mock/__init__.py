"""A deterministic LoRAX without a GPU.

The nouns, from the socket inwards:

* *Router*: the part of LoRAX that speaks HTTP; here it reads requests (`http`, `serde`, `wire`) and checks them (`router`).
* *Script*: a list of *rules*; the first whose conditions hold gives a request its reply, pace or fault (`scripting`).
* *Fault*: something that goes wrong between an answer and its reader, named by an id such as `cut@120`.
* *Session*: a script, call counts and journal entries of one client's own, named by a header.
* *Journal*: the requests and their outcomes, one *entry* each, kept for assertions.
* *Adapter*: a LoRA of the base model, by its id; a *merge* is several at once. For each, and for the base model, a
  *persona* speaks, so that a text tells who made it (`model`).
* *Sequence*: the tokens of one answer, made at once from the request and the seed; a *grammar* bounds its text
  (`outlines`), a *tokenizer* cuts it (`prompt`).
* *Shard*: the part of LoRAX that has the GPU; here a machine in virtual time. A sequence is a *job* in its adapter's
  queue until a prefill takes it into the *batch*, where each decode step gives it a token (`shard`).
* *Schedule*: what the shard did and when. *Ticket*: how far a sequence is on the shard, for its request (`server`).
* *Cassette*: recorded exchanges with a real LoRAX (`recording`).
"""
