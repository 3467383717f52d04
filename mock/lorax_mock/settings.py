"""What a mock is set up with: the model, its limits, its adapters, its costs in virtual time.

Defaults are those of LoRAX's launcher (launcher/src/main.rs:273-655) for a Llama 3.1 model, whose
special tokens the built-in vocabulary has; `/info` reports exactly what is enforced.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from lorax_mock.lora import SOURCES, Adapter

__all__ = [
    "LLAMA_3_TEMPLATE",
    "SOURCES",
    "Adapter",
    "Costs",
    "Limits",
    "Settings",
    "SettingsError",
    "check",
]

LLAMA_3_TEMPLATE: Final = (
    "{{ bos_token }}{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
"""What a chat becomes before it is tokenized; the tokenizer's special tokens are this family's."""


class SettingsError(Exception):
    """Settings that contradict one another; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The router's limits; the names are LoRAX's own."""

    max_concurrent_requests: int = 1024
    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_input_length: int = 4095
    max_total_tokens: int = 4096
    waiting_served_ratio: float = 1.2
    max_batch_total_tokens: int = 120_000
    max_batch_prefill_tokens: int = 4145
    max_waiting_tokens: int = 20
    eager_prefill: bool = False
    """Whether newcomers are prefilled as long as there are enough, before anybody decodes again."""

    validation_workers: int = 2
    max_active_adapters: int = 1024
    adapter_cycle_ms: float = 2000.0
    body_bytes: int = 2_097_152
    """axum's default body limit; LoRAX sets none of its own."""

    fast_tokenizer: bool = True
    """Whether the router counts tokens; a model without a `tokenizer.json` leaves it to the shard."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds that things take in virtual time; `paced` makes them take real time as well."""

    prefill_token: float = 0.2
    first: float = 0.0
    """Before the first token, whatever the prompt."""

    step: float = 20.0
    adapter_download: float = 700.0
    """An adapter's first use ever."""

    adapter_load: float = 300.0
    """Each time it is brought onto the GPU."""

    schema_compile: float = 1000.0
    """The first use of a JSON schema, and of one that 32 others have pushed out of the cache."""

    paced: bool = False


_DEFAULT_ADAPTERS = (
    Adapter("acme/support", "support"),
    Adapter("acme/pirate", "pirate"),
    Adapter("acme/poet", "poet"),
    Adapter("acme/sql", "sql"),
    Adapter("acme/wrong-base", base_model="tiiuae/falcon-7b"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what a mock answers, the script apart."""

    model_id: str = "meta-llama/Meta-Llama-3.1-8B-Instruct"
    model_folder: bool = False
    """Whether `model_id` is a folder on LoRAX's disk, which the hub knows nothing of."""

    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    costs: Costs = field(default_factory=Costs)
    adapters: tuple[Adapter, ...] = _DEFAULT_ADAPTERS
    unknown_adapters: bool = False
    """Whether an id that is not listed loads all the same, with a persona made from its name."""

    adapter_id: str | None = None
    """A static adapter: what "the base model" answers with."""

    preloaded_adapter_ids: tuple[str, ...] = ()
    """Adapters that are always there; with any of them no other can be loaded."""

    default_adapter_source: str = "hub"
    kind: str = "generate"
    """What the model is for: `generate`, `embed` or `classify`."""

    chat_template: str | None = LLAMA_3_TEMPLATE
    """None as for a model whose tokenizer_config.json has none."""

    template_tokens: tuple[str | None, str | None] | None = None
    """BOS and EOS as the chat template spells them; None: as the tokenizer does."""

    @property
    def memory(self) -> dict[str, float]:
        """Shares of the adapter memory by id."""
        return {adapter.id: adapter.memory for adapter in self.adapters}

    @property
    def loads(self) -> dict[str, float]:
        """Milliseconds of a load by id, where an adapter has its own."""
        return {one.id: one.load_ms for one in self.adapters if one.load_ms is not None}

    def fault(self, adapter: Adapter) -> str | None:
        """Why an adapter never answers; None if it does."""
        return adapter.download_fault() or adapter.load_fault(self.model_id) or adapter.pass_fault()

    @property
    def has_adapters(self) -> bool:
        """Encoders have no memory set aside for adapters."""
        return self.kind == "generate"

    @property
    def loadable(self) -> list[str]:
        """Ids of the adapters that answer."""
        only = self.preloaded_adapter_ids
        return [
            adapter.id
            for adapter in self.adapters
            if self.fault(adapter) is None and (not only or adapter.id in only)
        ]


def check(settings: Settings) -> Settings:
    """The settings, if a router would start with them; raises SettingsError."""
    limits = settings.limits
    if limits.max_input_length >= limits.max_total_tokens:
        raise SettingsError(
            f"max_input_length ({limits.max_input_length}) must be less than max_total_tokens "
            f"({limits.max_total_tokens}): lower the one or raise the other"
        )
    if limits.max_total_tokens > limits.max_batch_total_tokens:
        raise SettingsError(
            f"max_total_tokens ({limits.max_total_tokens}) must be at most max_batch_total_tokens "
            f"({limits.max_batch_total_tokens}): a request that no batch can hold would wait for ever"
        )
    if limits.max_input_length > limits.max_batch_prefill_tokens:
        raise SettingsError(
            f"max_input_length ({limits.max_input_length}) must be at most "
            f"max_batch_prefill_tokens ({limits.max_batch_prefill_tokens})"
        )
    if limits.max_best_of < 1 or limits.max_concurrent_requests < 1:
        raise SettingsError("max_best_of and max_concurrent_requests must be at least 1")
    known = {adapter.id: adapter for adapter in settings.adapters}
    for one in (*settings.preloaded_adapter_ids, *filter(None, (settings.adapter_id,))):
        if one not in known and not settings.unknown_adapters:
            raise SettingsError(
                f"{one} is no adapter: list it in --adapters, or take {_named(known)}"
            )
        fault = settings.fault(known[one]) if one in known else None
        if fault is not None:
            raise SettingsError(f"LoRAX would not start with {one}: {fault}")
    costs = settings.costs
    for cost in (
        *(costs.first, costs.prefill_token, costs.step, costs.schema_compile),
        *(costs.adapter_download, costs.adapter_load),
    ):
        if not 0 <= cost < 1e9:
            raise SettingsError(f"a cost of {cost} ms is not a time: give 0 or more")
    return settings


def _named(known: Iterable[str]) -> str:
    return ", ".join(known) or "none"
