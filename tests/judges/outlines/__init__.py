"""LoRAX's schema compiler, outlines-core 0.1.14, as the judge of every schema that is sent."""
