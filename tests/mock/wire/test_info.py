"""What `/info` tells."""

import json
import re

from lorax_mock.settings import Limits, Settings
from lorax_mock.wire.info import encode_info


def test_info_tells_the_limits_in_lorax_order() -> None:
    """`/info` has every key in LoRAX's order, nulls included, and the ratio as a 32-bit float."""
    told = encode_info(Settings(model_id="m", limits=Limits(max_best_of=7)))
    assert told.startswith(b'{"model_id":"m","model_sha":"')
    assert b'","model_dtype":"torch.float16","model_device_type":"cuda",' in told
    assert json.loads(told) == {
        "model_id": "m",
        "model_sha": json.loads(encode_info(Settings(model_id="m")))["model_sha"],
        "model_dtype": "torch.float16",
        "model_device_type": "cuda",
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": 1024,
        "max_best_of": 7,
        "max_stop_sequences": 4,
        "max_input_length": 4095,
        "max_total_tokens": 4096,
        "waiting_served_ratio": 1.2,
        "max_batch_total_tokens": 120000,
        "max_waiting_tokens": 20,
        "validation_workers": 2,
        "eager_prefill": False,
        "version": "0.1.0",
        "sha": "a7394ba386ece427d5a6125b419aa38b46d966dc",
        "docker_label": None,
        "request_logger_url": None,
    }
    assert re.fullmatch("[0-9a-f]{40}", json.loads(told)["model_sha"])
    assert b'"waiting_served_ratio":1.2,' in told
    assert json.loads(told)["max_best_of"] == 7
    assert list(json.loads(told))[-4:] == ["version", "sha", "docker_label", "request_logger_url"]
    assert len(json.loads(told)) == 19


def test_a_folder_is_nothing_that_the_hub_knows() -> None:
    """A model folder has null for revision and pipeline tag, and all else as ever."""
    hub = json.loads(encode_info(Settings(model_id="/data/m")))
    folder = json.loads(encode_info(Settings(model_id="/data/m", model_folder=True)))
    assert folder == {**hub, "model_sha": None, "model_pipeline_tag": None}


def test_what_the_scheduler_does_is_told() -> None:
    """`/info` tells eager prefills where they were asked for."""
    assert json.loads(encode_info(Settings(limits=Limits(eager_prefill=True))))["eager_prefill"]
