"""Between text and tokens, in both directions: what the router and the shard do with tokenizers and chat templates.

`vocabulary` and `tokenizer` are the built-in model's, `decoding` is how the shard shows ids as text, `chat` renders
conversations, and `tools` makes a grammar of tools and a call of the answer.
"""
