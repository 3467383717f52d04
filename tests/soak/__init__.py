"""A long mixed load on real processes, with every answer judged (`make soak`, docs/evidence/reliability.md)."""
