"""The judge's rules, each shown to break."""
