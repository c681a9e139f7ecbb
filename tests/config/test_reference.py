"""The pages and schemas that are written from the code read as if a person had written them."""

from __future__ import annotations

import json

from backstop.config.reference import page_text, schema_text


def test_line_breaks_of_the_source_stand_in_no_description() -> None:
    schema = json.loads(schema_text())
    said = [part["description"] for part in (schema, *schema["$defs"].values()) if "description" in part]
    assert len(said) > 10
    assert [text for text in said if "\n" in text or "  " in text] == []
    assert [line for line in page_text().splitlines() if "  " in line.strip() and "|" not in line] == []
