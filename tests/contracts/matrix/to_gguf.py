"""The tiny model of `train.py` in llama.cpp's form.

    python to_gguf.py FOLDER FILE

Run by an environment that holds gguf and safetensors. Names and the order of rows in the weights of
queries and keys are those of llama.cpp's convert_hf_to_gguf.py for LlamaForCausalLM.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_OF_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def _name(theirs: str) -> str:
    if theirs in _NAMES:
        return _NAMES[theirs]
    _, _, layer, rest = theirs.split(".", 3)
    return f"blk.{layer}.{_OF_LAYER[rest.removesuffix('.weight')]}.weight"


def _rotated(weight: Any, heads: int) -> Any:
    """Rows as llama.cpp's rotation of neighbours wants them; transformers rotates halves."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _tokenizer(writer: Any, folder: Path, size: int, ends: int) -> None:
    document = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    ids = dict(document["model"]["vocab"])
    special = {one["content"]: one["id"] for one in document["added_tokens"]}
    tokens = [""] * size
    for text, place in {**ids, **special}.items():
        tokens[place] = text
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if one in special else 1 for one in tokens])
    merges = document["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_eos_token_id(ends)
    writer.add_add_bos_token(False)
    template = folder / "chat_template.jinja"
    if template.exists():
        writer.add_chat_template(template.read_text("utf-8"))
    else:
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        writer.add_chat_template(config["chat_template"])


def main(folder: Path, file: Path) -> None:
    """Writes the file."""
    gguf: Any = importlib.import_module("gguf")
    safetensors: Any = importlib.import_module("safetensors.numpy")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    writer.add_rope_freq_base(float(theta))
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(0)
    _tokenizer(writer, folder, config["vocab_size"], config["eos_token_id"])
    for name, weight in safetensors.load_file(folder / "model.safetensors").items():
        heads = {
            "q_proj": config["num_attention_heads"],
            "k_proj": config["num_key_value_heads"],
        }
        found = next((count for part, count in heads.items() if part in name), None)
        turned = _rotated(weight, found) if found else weight
        writer.add_tensor(_name(name), turned.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
