"""Mutation testing: does some test fail when the code is wrong? `make mutants`, docs/evidence/mutants.md."""
