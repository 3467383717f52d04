"""Settings that fit together."""

import pytest

from lorax_mock.settings import Costs, Limits, Settings, SettingsError, check


def test_the_defaults_fit() -> None:
    """The default settings pass their own check, and the offered adapters are those that load."""
    assert check(Settings()).loadable == ["acme/support", "acme/pirate", "acme/poet", "acme/sql"]
    assert check(Settings(preloaded_adapter_ids=("acme/poet",))).loadable == ["acme/poet"]
    assert check(Settings(adapter_id="any/one", unknown_adapters=True)).adapter_id == "any/one"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Settings(limits=Limits(max_input_length=4096)), "lower the one or raise the other"),
        (Settings(limits=Limits(max_best_of=0)), "at least 1"),
        (Settings(limits=Limits(max_total_tokens=120_001)), "would wait for ever"),
        (Settings(limits=Limits(max_batch_prefill_tokens=9)), "at most max_batch_prefill_tokens"),
        (Settings(costs=Costs(step=-1)), "give 0 or more"),
        (Settings(adapter_id="acme/pirat"), "acme/pirat is no adapter: .* acme/pirate"),
        (Settings(preloaded_adapter_ids=("acme/wrong-base",)), "Architectures differ"),
        (Settings(costs=Costs(prefill_token=float("nan"))), "is not a time"),
    ],
)
def test_contradictions_are_named(settings: Settings, text: str) -> None:
    """Settings that contradict one another are refused with what to do about it."""
    with pytest.raises(SettingsError, match=text):
        check(settings)
