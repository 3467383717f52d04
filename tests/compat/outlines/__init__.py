"""LoRAX's schema compiler, outlines 0.1.1 on outlines-core 0.1.14, as the judge of every schema sent."""
