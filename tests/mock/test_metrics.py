"""LoRAX's counters in both formats."""

import json

from lorax_mock.metrics import Metrics
from lorax_mock.settings import Limits
from lorax_mock.timing import Timing
from lorax_mock.wire import FinishReason, Generated, Token


def _busy() -> Metrics:
    metrics = Metrics(Limits())
    metrics.asked()
    metrics.validated(10, 128)
    metrics.failed("validation")
    metrics.failed("validation")
    metrics.batch("prefill")
    metrics.batch("decode", 3)
    metrics.batch("embed", 0)
    token = Token(1, "a", -0.1, special=False)
    metrics.answered(Generated("a", FinishReason.LENGTH, 3, None, (), [token]), Timing(0, 0, 1, 1))
    return metrics


def test_nothing_is_told_before_its_first_sample() -> None:
    """An idle server has no series at all."""
    assert Metrics(Limits()).as_text() == b""
    assert Metrics(Limits()).as_json() == b"{}"


def test_the_text_has_types_and_no_help() -> None:
    """Counters with their labels, histograms with cumulative buckets."""
    text = _busy().as_text().decode()
    assert "# HELP" not in text
    assert 'lorax_request_failure{err="validation"} 2\n' in text
    assert 'lorax_batch_inference_count{method="prefill"} 1\n' in text
    assert 'lorax_batch_inference_success{method="decode"} 3\n' in text
    assert "embed" not in text
    assert "# TYPE lorax_request_duration histogram\n" in text
    assert 'lorax_request_duration_bucket{le="0.00015"} 0\n' in text
    assert 'lorax_request_duration_bucket{le="+Inf"} 1\nlorax_request_duration_sum 0.001\n' in text
    assert text.count("lorax_request_duration_bucket") == 36
    assert text.count("lorax_request_input_length_bucket") == 101
    assert 'lorax_request_skipped_tokens{quantile="0.5"} 0\n' in text


def test_the_json_keeps_the_routers_quirk() -> None:
    """Labelled lines are keyed whole, sum and count by that word, others by nothing."""
    told = json.loads(_busy().as_json())
    assert told["lorax_request_count"] == {
        "type": "counter",
        "data": [{"key": "count", "value": 1.0}],
    }
    assert told["lorax_request_success"]["data"] == [{"key": "", "value": 1.0}]
    assert (
        told["lorax_request_failure"]["data"][0]["key"] == 'lorax_request_failure{err="validation"}'
    )
    assert [row["key"] for row in told["lorax_request_duration"]["data"]][-2:] == ["sum", "count"]
