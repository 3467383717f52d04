"""What a request would have taken, in virtual milliseconds."""

from dataclasses import dataclass

from lorax_mock.settings import Costs
from lorax_mock.wire import Generated

__all__ = ["Timing", "timing_of"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds, as the reply's headers tell them."""

    validation: float
    queue: float
    first_token: float
    inference: float

    @property
    def total(self) -> float:
        """From arrival to the last token."""
        return self.validation + self.queue + self.inference


def timing_of(costs: Costs, sequence: Generated) -> Timing:
    """A lone request's times: prefill of its prompt, then one step a token."""
    first = costs.first + costs.prefill_token * sequence.prompt_tokens
    steps = costs.step * (len(sequence.tokens) - 1)
    return Timing(0.0, 0.0, first, first + steps)
