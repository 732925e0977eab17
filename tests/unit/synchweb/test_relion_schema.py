"""``relion/schema``: produced from the parameters' one definition, as EM.php told it."""

from __future__ import annotations

import json
from typing import Any

from app.processing_jobs.relion import PIPELINES
from app.synchweb import form_relion
from app.synchweb.form_fields import Field
from app.synchweb.forms import relion_schema
from tests.synchweb.replay import differences
from tests.unit.synchweb.recorded import expected

VOLTAGES = (200, 300)


def test_the_form_is_as_recorded_field_by_field_in_the_order_on_the_screen() -> None:
    recorded = expected("relion_schema")

    schema = relion_schema(VOLTAGES)

    assert differences(recorded, schema, "") == []
    assert list(schema) == list(recorded)
    assert json.loads(json.dumps(schema)) == schema


def test_limits_and_defaults_have_the_recorded_types() -> None:
    recorded = expected("relion_schema")

    def types(schema: dict[str, Any]) -> dict[tuple[str, str], type]:
        texts = ("label", "extraDescription")
        return {(key, name): type(v) for key, one in schema.items() for name, v in one.items() if name not in texts}

    assert types(relion_schema(VOLTAGES)) == types(recorded)


def test_every_parameter_is_on_the_form_once() -> None:
    on_form = [field for field in form_relion.FIELDS if not isinstance(field, Field)]

    assert sorted(on_form) == sorted(PIPELINES)


def test_every_condition_and_comparison_names_a_field_of_the_form() -> None:
    fields = {field.key: field for field in form_relion.fields(VOLTAGES)}

    for field in fields.values():
        others = [field.less_than, field.greater_than]
        others += [] if isinstance(field.required, bool | str) else list(field.required)
        assert all(other in fields for other in others if other is not None)


def test_the_voltages_are_the_facilitys() -> None:
    voltage = relion_schema((120, 200))["voltage"]

    assert voltage["options"] == ["120", "200"]
    assert voltage["default"] == "200", "300 cannot be chosen there"


def test_a_field_that_needs_words_has_sentences() -> None:
    described = {
        key: one["extraDescription"] for key, one in relion_schema(VOLTAGES).items() if "extraDescription" in one
    }

    assert set(described) == {"eer_grouping", "autopick_do_cryolo", "extract_boxsize", "extract_small_boxsize"}
    assert all(sentence.endswith(".") for sentences in described.values() for sentence in sentences)
