"""What each fault makes of a true answer."""

import pytest
from sample_attic_tech import Delay, Fault, Reset, Response, Truncate
from sample_attic_tech.server import apply_fault

ANSWER = Response(body=b"true", delay_seconds=0.5)


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        pytest.param(None, ANSWER, id="none"),
        pytest.param(Response(status=503), Response(status=503), id="another answer, at once"),
        pytest.param(Delay(seconds=2), Response(body=b"true", delay_seconds=2.5), id="later than it would be anyway"),
        pytest.param(Truncate(after=2), Response(body=b"true", delay_seconds=0.5, cut_after=2), id="cut"),
        pytest.param(Reset(), Response(body=b"true", delay_seconds=0.5, is_reset=True), id="reset"),
    ],
)
def test_fault_changes_what_is_sent(fault: Fault | None, sent: Response) -> None:
    assert apply_fault(fault, ANSWER) == sent
