"""JSON schemas on their way down to what LoRAX's constrained decoder compiles."""
