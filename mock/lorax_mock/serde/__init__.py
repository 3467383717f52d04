"""JSON as serde_json, serde and serde_path_to_error read it: values, positions, numbers, and the words of every error.

`reader`, `numbers` and `skipping` are serde_json, `types` is what serde's derived readers make of it, `floats` is how
Rust spells a float. `documents` reads what people write, YAML too, with the same reader.
"""
