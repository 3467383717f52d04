"""A language model small enough to make here: a Llama of two layers that counts, answers and calls.

    python train.py FOLDER

Run by an environment that holds torch and transformers, not by the project's own. Weights are random
numbers from one seed, trained for a few hundred steps on sentences made here; nothing is downloaded.
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
TENS = ["twenty", "thirty", "forty", "fifty"]
WORDS = [*ONES, *(f"{ten}-{one}" for ten in TENS for one in ONES[1:10])]

TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n# Tools\n{% for tool in tools %}{{ tool | tojson }}\n"
    "{% endfor %}<|im_end|>\n{% endif %}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n"
    "{%- if message.content is string %}{{ message.content }}"
    "{%- else %}{% for part in message.content or [] %}{{ part.text }}{% endfor %}{% endif %}"
    "{%- if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}"
    "<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def pairs() -> list[tuple[str, str]]:
    """Questions and answers that the checker may ask, and some that it does not."""
    counted = ", ".join(WORDS[1:41])
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "celsius": true}}\n</tool_call>'
    return [
        ("Write the numbers from one to forty as words, separated by commas.", counted),
        ("Hello!", "Hello! How can I help you today?"),
        ("Hi.", "Hi! What can I do for you?"),
        ("Say é and 日本 and 😀.", "é 日本 😀"),
        ("Say: é, 日本, 😀!", "é, 日本, 😀!"),
        ("What is the weather in Paris? Use a tool.", call),
        ("Describe Paris as a JSON object.", '{"name": "Paris", "size": "large", "count": 2}'),
        ("Add one and two.", "The sum is 3."),
        ("What time is it?", "It is twelve."),
        ("What colour is this?", "I cannot see a picture."),
    ]


def main(folder: Path) -> None:
    """Writes tokenizer, weights and chat template as transformers reads them."""
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    tokenizers: Any = importlib.import_module("tokenizers")
    torch.manual_seed(7)
    torch.set_num_threads(1)
    spoken = [
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
        for question, answer in pairs()
    ]
    spoken.append(
        "One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve.<|im_end|>"
    )
    core = tokenizers.ByteLevelBPETokenizer()
    special = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
    core.train_from_iterator(spoken * 3, vocab_size=600, min_frequency=2, special_tokens=special)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core._tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
    )
    tokenizer.chat_template = TEMPLATE
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = transformers.LlamaForCausalLM(config)
    rows = [tokenizer(text, return_tensors="pt")["input_ids"] for text in spoken]
    steps = torch.optim.AdamW(model.parameters(), lr=2e-3)
    loss = torch.tensor(float("nan"))
    for step in range(60 * len(rows)):
        ids = rows[step % len(rows)]
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        steps.step()
        steps.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    described = {"loss": round(float(loss.detach()), 3), "parameters": model.num_parameters()}
    (folder / "trained.json").write_text(json.dumps(described))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
