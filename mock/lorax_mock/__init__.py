"""A deterministic LoRAX without a GPU."""
