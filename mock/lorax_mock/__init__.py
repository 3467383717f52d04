"""A deterministic LoRAX without a GPU.

The nouns, from the socket inwards:

* A *request* is read as LoRAX's router reads it (`http`, `serde`, `wire`), and checked in its order (`router`).
* A *rule* of a *script*, or a *fault* that was asked for, may decide what happens to it (`scripting`).
* A *persona*, one for the base model and for each *adapter*, makes the whole *answer* at once, a function of the
  request and the seed (`model`); a *grammar* bounds its text (`outlines`), a *tokenizer* cuts it (`prompt`).
* The *shard* says when each token is there: batches, queues and the adapters' loading, in virtual time (`shard`).
* The *server* sends the one at the pace of the other (`server`), and the *journal* keeps what came and what left.
"""
