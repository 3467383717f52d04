"""Routes apart from the native ones, which are in `app`: LoRAX's `/v1`, its encoders, and the mock's own `/_mock/`."""
