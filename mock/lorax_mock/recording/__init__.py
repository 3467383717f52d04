"""The mock before a real LoRAX, and in its place: a `recorder` fills and replays a `cassette`."""
