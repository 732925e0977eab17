"""SynchWeb's two forms: their schemas, and what their clients post."""

from app.synchweb.form_collection import MOVIE_FIELDS, CollectionForm, check_dc_form, dc_schema
from app.synchweb.form_fields import FormInvalid
from app.synchweb.form_relion import (
    RelionForm,
    check_relion_form,
    of_native,
    parameters_for_synchweb,
    relion_schema,
    to_parameters,
)

__all__ = [
    "MOVIE_FIELDS",
    "CollectionForm",
    "FormInvalid",
    "RelionForm",
    "check_dc_form",
    "check_relion_form",
    "dc_schema",
    "of_native",
    "parameters_for_synchweb",
    "relion_schema",
    "to_parameters",
]
