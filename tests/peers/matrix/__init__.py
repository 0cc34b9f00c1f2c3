"""Gantry against every other implementation this machine has: each cell of docs/reference/interoperability.md is a test."""

import pytest

# The asserts stand in these files; without this they would not say what they compared.
for _name in (
    "asking",
    "world",
    "dcmtk_asks",
    "dcmtk_answers",
    "orthanc_cells",
    "pynetdicom_cells",
    "dcmjs_cells",
    "others_cells",
):
    pytest.register_assert_rewrite(f"{__name__}.{_name}")
