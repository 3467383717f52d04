"""What the mock publishes about itself."""

import json

from lorax_mock.wire.apidoc import PAGE, document


def test_the_document_tells_what_loraxs_tells() -> None:
    """Nine operations, neither encoders nor the other probes among them."""
    told = json.loads(document())
    assert (told["openapi"], told["info"]["title"]) == ("3.0.3", "LoRAX")
    operations = {
        (path, method): operation["operationId"]
        for path, item in told["paths"].items()
        for method, operation in item.items()
    }
    assert len(operations) == 9
    assert operations["/v1/chat/completions", "post"] == "chat_completions_v1"
    assert operations["/info", "get"] == "get_model_info"


def test_every_operation_has_a_tag_and_answers() -> None:
    """Under one of the three tags."""
    told = json.loads(document())
    tags = {tag["name"] for tag in told["tags"]}
    for item in told["paths"].values():
        for operation in item.values():
            assert set(operation["tags"]) <= tags
            assert "200" in operation["responses"]


def test_the_page_leads_to_the_document() -> None:
    """It is all that it does."""
    assert b'href="/api-doc/openapi.json"' in PAGE
