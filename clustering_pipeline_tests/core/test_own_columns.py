"""Which sheets of a workbook are ours."""

import pytest

from clustering_pipeline.core.own_columns import OWN_SHEETS, free_sheet_name, is_own_sheet


@pytest.mark.parametrize("taken", [[], ["Clusters"], ["clusters", "Clusters (result)"]])
@pytest.mark.parametrize("language", ["en", "vi"])
def test_a_sheet_of_ours_has_a_free_name_and_is_known_again(taken, language):
    for name, headers in OWN_SHEETS.items():
        tab = free_sheet_name(name, [one.replace("Clusters", name) for one in taken])
        assert tab not in taken
        assert is_own_sheet(tab, headers[language])
        assert not is_own_sheet(tab, ("my", "own"))


def test_sheets_of_earlier_versions_are_known_and_a_users_are_not():
    headers = OWN_SHEETS["Listings"]["en"]
    assert is_own_sheet("cp_Listings", headers) and is_own_sheet("cp_cp_Listings", headers)
    assert not is_own_sheet("Listings 2025", headers)
    assert not is_own_sheet("Listings (draft)", headers)
