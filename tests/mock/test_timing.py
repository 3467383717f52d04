"""Virtual times of a lone request."""

from lorax_mock.settings import Costs
from lorax_mock.timing import timing_of
from lorax_mock.wire import FinishReason, Generated, Token


def test_prefill_gives_the_first_token_and_each_step_one_more() -> None:
    """Milliseconds by the costs."""
    tokens = [Token(1, "a", -0.1, special=False)] * 3
    done = Generated("aaa", FinishReason.LENGTH, 10, None, (), tokens)
    timing = timing_of(Costs(prefill_token=2, step=5), done)
    assert (timing.first_token, timing.inference, timing.total) == (20, 30, 30)
