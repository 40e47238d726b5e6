"""What a reason means in the single case: each row has a code, a cure, and words without details."""

import pytest
from estimatesync_contract.causes import Reason
from estimatesync_contract.specific_causes import SpecificCause, find_cure, find_specific_cause


@pytest.mark.parametrize("cause", SpecificCause)
def test_every_specific_cause_is_found_by_its_code_and_says_what_to_do_without_details(cause: SpecificCause) -> None:
    assert find_specific_cause(cause.code) is cause
    assert cause.cure
    assert not {"{", "}"} & {*cause.summary, *cause.cure}
    assert not cause.summary.endswith(".")
    assert not cause.cure.endswith(".")


@pytest.mark.parametrize(
    ("reason", "code", "cure"),
    [
        pytest.param(
            Reason.DATABASE_REFUSED, "SchemaForeign", "Choose another DATABASE_SCHEMA", id="the single case is known"
        ),
        pytest.param(
            Reason.DATABASE_REFUSED, None, "Check the login, its rights and the schema", id="only the reason is known"
        ),
        pytest.param(
            Reason.SOURCE_INVALID, "OfANewerVersion", "Check ATTIC_TECH_URL", id="the code of another version"
        ),
        pytest.param(Reason.CANCELLED, None, "", id="nothing is to be done"),
        pytest.param("OfANewerVersion", None, "", id="the reason of another version"),
        pytest.param(None, None, "", id="nothing is known yet"),
    ],
)
def test_the_cure_is_that_of_the_single_case_where_it_is_known(reason: str | None, code: str | None, cure: str) -> None:
    assert find_cure(reason, code) == cure


def test_another_variable_may_have_the_url() -> None:
    assert SpecificCause.DATABASE_PASSWORD_WRONG.format_cure(variable="OLD_DATABASE_URL") == "Correct OLD_DATABASE_URL"
