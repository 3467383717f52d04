"""What `/info` tells."""

import json

from lorax_mock.info import encode_info
from lorax_mock.settings import Limits, Settings


def test_info_tells_the_limits_in_lorax_order() -> None:
    """Every key, nulls included, and the ratio as a 32-bit float."""
    told = encode_info(Settings(model_id="m", limits=Limits(max_best_of=7)))
    assert told.startswith(b'{"model_id":"m","model_sha":null,"model_dtype":"torch.float16",')
    assert b'"waiting_served_ratio":1.2,' in told
    assert json.loads(told)["max_best_of"] == 7
    assert list(json.loads(told))[-4:] == ["version", "sha", "docker_label", "request_logger_url"]
    assert len(json.loads(told)) == 19
