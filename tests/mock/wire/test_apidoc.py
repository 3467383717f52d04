"""What the mock publishes about itself."""

import json

from lorax_mock.wire.apidoc import PAGE, document


def test_the_document_tells_what_loraxs_tells() -> None:
    """The document has LoRAX's nine operations, without the encoders and the other probes."""
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
    """Every operation has one of the three tags and its answers."""
    told = json.loads(document())
    tags = {tag["name"] for tag in told["tags"]}
    for item in told["paths"].values():
        for operation in item.values():
            assert set(operation["tags"]) <= tags
            assert "200" in operation["responses"]


def test_the_page_leads_to_the_document() -> None:
    """The page names the document's path."""
    assert b'href="/api-doc/openapi.json"' in PAGE
