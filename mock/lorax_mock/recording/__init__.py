"""Recording a real LoRAX and replaying it: a `recorder` fills and replays a `cassette`."""
