"""The OpenAI API for LoRAX: requests in, `generate` calls out, answers back."""
