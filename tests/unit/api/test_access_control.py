"""Who comes in, who does not, and who must wait."""

from dataclasses import dataclass

import pytest
from estimatesync_api.core.access import AccessControl, ApiKey, KeyText, find_key, parse_api_keys
from estimatesync_api.core.problems import ApiError, Problem

MAKE, READ_ONLY = "made-up-key-of-make", "made-up-key-to-look"
KEYS, _ = parse_api_keys(
    [
        KeyText(source="API_KEYS", text=f"make:{MAKE}"),
        KeyText(source="READ_ONLY_API_KEYS", text=f"look:{READ_ONLY}", is_read_only=True),
    ]
)


@dataclass
class Caller:
    """Access control, and its clock."""

    now: float = 1000.0
    requests_per_minute: int = 0
    knows_all_keys: bool = True

    def __post_init__(self) -> None:
        self.access_control = AccessControl(
            self, requests_per_minute=self.requests_per_minute, monotonic=lambda: self.now
        )

    def find(self, presented: str) -> ApiKey | None:
        return find_key(KEYS, presented)

    def is_complete(self) -> bool:
        return self.knows_all_keys

    def ask(self, presented: str, *, method: str = "GET", client: str = "home") -> str | tuple[Problem, int]:
        try:
            return self.access_control.authenticate(presented=presented, method=method, client=client).name
        except ApiError as error:
            return error.problem, error.retry_after


@pytest.mark.parametrize(
    ("presented", "method", "answer"),
    [
        pytest.param(MAKE, "POST", "make", id="a key"),
        pytest.param("", "GET", Problem.KEY_MISSING, id="none"),
        pytest.param(f"{MAKE}x", "GET", Problem.KEY_WRONG, id="a wrong one"),
        pytest.param(READ_ONLY, "GET", "look", id="a read-only key reads"),
        pytest.param(READ_ONLY, "HEAD", "look", id="also the head"),
        pytest.param(READ_ONLY, "OPTIONS", "look", id="and what may be done"),
        pytest.param(READ_ONLY, "POST", Problem.KEY_READ_ONLY, id="a read-only key writes"),
        pytest.param(READ_ONLY, "BREW", Problem.KEY_READ_ONLY, id="uses an unknown method"),
    ],
)
def test_the_key_decides(presented: str, method: str, answer: object) -> None:
    result = Caller().ask(presented, method=method)

    assert (result[0] if isinstance(result, tuple) else result) == answer


def test_after_some_wrong_keys_an_address_has_to_wait_and_others_have_not() -> None:
    caller = Caller()

    guesses = [caller.ask(f"guess-{number}") for number in range(11)]
    right_by_chance = caller.ask(MAKE)
    elsewhere = caller.ask(MAKE, client="elsewhere")
    caller.now += 6
    later = caller.ask(MAKE)

    assert [guess[0] for guess in guesses[:10] if isinstance(guess, tuple)] == [Problem.KEY_WRONG] * 10
    assert guesses[10] == right_by_chance == (Problem.TOO_MANY_GUESSES, 6)
    assert (elsewhere, later) == ("make", "make")


def test_a_key_that_may_be_valid_is_asked_to_come_again_and_is_no_guess() -> None:
    caller = Caller(knows_all_keys=False)

    meanwhile = [caller.ask(f"guess-{number}")[0] for number in range(50)]
    caller.knows_all_keys = True
    afterwards = caller.ask(MAKE)

    assert set(meanwhile) == {Problem.KEYS_UNAVAILABLE}
    assert afterwards == "make"


def test_who_has_guessed_before_goes_on_waiting_while_keys_cannot_be_read() -> None:
    caller = Caller()
    for number in range(10):
        caller.ask(f"guess-{number}")

    caller.knows_all_keys = False

    assert caller.ask("guess-11") == (Problem.TOO_MANY_GUESSES, 6)


def test_a_known_client_is_not_locked_out_by_others_at_the_same_address() -> None:
    caller = Caller()
    caller.ask(MAKE)

    for number in range(50):
        caller.ask(f"guess-{number}")

    assert caller.ask(MAKE) == "make"
    assert caller.ask(READ_ONLY) == (Problem.TOO_MANY_GUESSES, 6)


def test_wrong_keys_of_nobody_in_particular_do_not_lock_valid_ones_out() -> None:
    caller = Caller(requests_per_minute=2)

    wrong = [caller.ask(f"guess-{number}", client="unknown") for number in range(12)]
    valid = [caller.ask(MAKE, client="unknown") for _ in range(3)]

    assert [answer[0] for answer in wrong] == [Problem.KEY_WRONG] * 10 + [Problem.TOO_MANY_GUESSES] * 2
    # Each one is compared, guesses beyond the limit too.
    assert valid == ["make", "make", (Problem.TOO_MANY_REQUESTS, 30)]
    assert caller.ask(READ_ONLY, client="elsewhere") == "look"


def test_ten_thousand_clients_are_known_and_those_who_came_last_stay_so() -> None:
    caller = Caller()
    for number in range(10_000):
        caller.ask(MAKE, client=f"client-{number}")
    caller.ask(MAKE, client="client-0")
    caller.ask(MAKE, client="one too many")

    for client in ("client-0", "client-1", "client-2"):
        for number in range(10):
            caller.ask(f"guess-{number}", client=client)

    assert caller.ask(MAKE, client="client-0") == "make"
    assert caller.ask(MAKE, client="client-1") == (Problem.TOO_MANY_GUESSES, 6)
    assert caller.ask(MAKE, client="client-2") == "make"


def test_without_a_limit_a_key_may_ask_as_often_as_it_likes() -> None:
    caller = Caller(requests_per_minute=0)

    assert {caller.ask(MAKE) for _ in range(5000)} == {"make"}


def test_who_only_forgets_the_key_is_not_guessing() -> None:
    caller = Caller()

    for _ in range(50):
        caller.ask("")

    assert caller.ask(MAKE) == "make"


def test_each_key_has_its_own_limit_however_many_addresses_it_comes_from() -> None:
    caller = Caller(requests_per_minute=3)

    answers = [caller.ask(MAKE, client=str(number)) for number in range(4)]
    other = caller.ask(READ_ONLY)
    caller.now += 20

    assert answers == ["make", "make", "make", (Problem.TOO_MANY_REQUESTS, 20)]
    assert (other, caller.ask(MAKE)) == ("look", "make")
