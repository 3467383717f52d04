"""LoRAX's own Python client as the judge of the mock."""
