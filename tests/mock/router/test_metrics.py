"""LoRAX's counters in both formats."""

import json

from lorax_mock.router.metrics import Metrics
from lorax_mock.settings import Costs, Limits
from lorax_mock.shard.jobs import Job, Step
from lorax_mock.shard.scheduler import Shard
from lorax_mock.shard.timing import Timing
from lorax_mock.wire.native import FinishReason, Generated, Token


def _busy() -> Metrics:
    metrics = Metrics(Limits())
    metrics.asked()
    metrics.validated(10, 128)
    metrics.failed("validation")
    metrics.failed("validation")
    metrics.ran(Step("prefill", 2.0, (1, 2), 1))
    metrics.ran(Step("decode", 0.1, (1, 2), 3))
    metrics.ran(Step("load", 300.0))
    metrics.ran(Step("prefill", 2.0, (3,), 1, dropped=(2,), concat="backpressure"))
    metrics.batch("embed", 0)
    token = Token(1, "a", -0.1, special=False)
    metrics.answered(Generated("a", FinishReason.LENGTH, 3, None, (), [token]), Timing(0, 0, 1, 1))
    return metrics


def test_nothing_is_told_before_its_first_sample() -> None:
    """An idle server has no series at all."""
    assert Metrics(Limits()).as_text() == b""
    assert Metrics(Limits()).as_json() == b"{}"


def test_the_text_has_types_and_no_help() -> None:
    """The text format has types without help, labelled counters, and cumulative buckets."""
    text = _busy().as_text().decode()
    assert "# HELP" not in text
    assert 'lorax_request_failure{err="validation"} 2\n' in text
    assert 'lorax_batch_inference_count{method="prefill"} 2\n' in text
    assert 'lorax_batch_inference_success{method="decode"} 3\n' in text
    assert "embed" not in text
    assert "# TYPE lorax_request_duration histogram\n" in text
    assert 'lorax_request_duration_bucket{le="0.00015000000000000001"} 0\n' in text
    assert 'lorax_request_duration_bucket{le="+Inf"} 1\nlorax_request_duration_sum 0.001\n' in text
    assert text.count("lorax_request_duration_bucket") == 36
    assert text.count("lorax_request_input_length_bucket") == 101
    assert 'lorax_request_skipped_tokens{quantile="0.5"} 0\n' in text
    assert 'lorax_request_input_length_bucket{le="122.85000000000001"} 1\n' in text
    assert 'lorax_request_duration_bucket{le="0.00022500000000000002"} 0\n' in text


def test_batches_are_told_by_size_duration_and_reason() -> None:
    """Batches are counted by size, duration and reason, and a load is no forward pass."""
    text = _busy().as_text().decode()
    assert "# TYPE lorax_batch_next_size histogram\n" in text
    assert text.count("lorax_batch_next_size_bucket") == 1025
    assert 'lorax_batch_next_size_bucket{le="1"} 1\n' in text
    assert "lorax_batch_next_size_sum 3\nlorax_batch_next_size_count 2\n" in text
    assert (
        'lorax_batch_inference_duration_bucket{method="decode",le="0.00015000000000000001"} 3\n'
        in text
    )
    assert (
        'lorax_batch_inference_duration_bucket{method="prefill",le="0.00015000000000000001"} 0\n'
        in text
    )
    assert 'lorax_batch_inference_duration_count{method="prefill"} 2\n' in text
    assert 'lorax_batch_inference_duration_sum{method="prefill"} 0.004\n' in text
    assert 'lorax_batch_concat{reason="backpressure"} 1\n' in text
    assert 'lorax_request_failure{err="dropped"} 1\n' in text
    assert "lorax_request_skipped_tokens_count 9\n" in text
    assert text.count("# TYPE lorax_batch_inference_duration ") == 1


def test_a_failed_pass_is_counted_and_has_no_duration() -> None:
    """A failed forward pass is counted as one and as a failure, without a duration."""
    metrics = Metrics(Limits())
    metrics.batch_failed("decode")
    assert metrics.as_text().decode().splitlines()[1::3] == [
        'lorax_batch_inference_count{method="decode"} 1',
        'lorax_batch_inference_failure{method="decode"} 1',
    ]


def test_gauges_are_read_from_the_shard() -> None:
    """Gauges are the shard's, and absent before it has looked for a batch."""
    metrics = Metrics(Limits())
    shard = metrics.shard = Shard(Limits(), Costs())
    assert metrics.as_text() == b""
    shard.enter(Job(1, 0, "", 10, 24, 3))
    shard.step()
    shard.step()
    text = metrics.as_text().decode()
    assert "# TYPE lorax_batch_current_size gauge\nlorax_batch_current_size 1\n\n" in text
    assert "lorax_batch_current_max_tokens 48\n" in text
    assert "lorax_queue_length 0\n" in text
    assert json.loads(metrics.as_json())["lorax_queue_length"] == {
        "type": "gauge",
        "data": [{"key": "", "value": 0.0}],
    }


def test_the_json_keeps_the_routers_quirk() -> None:
    """In JSON labelled lines are keyed whole, sums and counts by their word, others by nothing."""
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


def test_encoders_have_series_of_their_own() -> None:
    """Encoders count each text's length, what a classification found, and the texts of a list."""
    metrics = Metrics(Limits())
    metrics.validated(None, 7)
    assert "input_length" not in metrics.as_text().decode()
    metrics = Metrics(Limits())
    metrics.counted_input(3)
    metrics.classified([2], batch=False)
    text = metrics.as_text().decode()
    assert "lorax_request_input_length_count 1\n" in text
    assert "max_new_tokens" not in text
    assert "lorax_request_success 1\n" in text
    assert "lorax_request_queue_duration_count 1\n" in text
    assert "lorax_request_input_count" not in text
    metrics.classified([1, 4], batch=True)
    text = metrics.as_text().decode()
    assert "# TYPE lorax_request_input_count summary\n" in text
    assert "lorax_request_input_count_sum 2\nlorax_request_input_count_count 1\n" in text
    assert "lorax_request_classify_output_count_sum 7\n" in text
    assert "lorax_request_classify_output_count_count 3\n" in text
