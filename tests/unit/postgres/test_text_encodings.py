"""Which texts a database with another encoding than UTF-8 can hold."""

import pytest
from estimatesync_postgres.text_encodings import COMPLETE, can_hold


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        pytest.param("UTF8", "🏠 Dachstuhl €", True, id="utf8"),
        pytest.param("SQL_ASCII", "🏠 Dachstuhl €", True, id="bytes"),
        pytest.param("LATIN1", "Dachstühle für Ñandú", True, id="latin1"),
        pytest.param("LATIN1", "12 €", False, id="latin1-euro"),
        pytest.param("LATIN1", "O\u2019Brien", False, id="latin1-apostrophe"),
        pytest.param("LATIN9", "12 €", True, id="latin9-euro"),
        pytest.param("WIN1252", "O\u2019Brien, 12 €", True, id="windows"),
        pytest.param("WIN1252", "🏠", False, id="windows-emoji"),
        pytest.param("EUC_JP", "東京", True, id="japanese"),
        pytest.param("EUC_JP", "Ω 🏠", False, id="japanese-emoji"),
        pytest.param("EUC_TW", "🏠", True, id="only-the-server-knows"),
    ],
)
def test_a_text_fits_if_every_character_does(encoding: str, text: str, *, expected: bool) -> None:
    assert can_hold(encoding, text) is expected


def test_two_encodings_hold_everything() -> None:
    assert {"UTF8", "SQL_ASCII"} == COMPLETE
