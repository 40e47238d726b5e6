import pytest
from estimatesync_simulator.exchanges import EXCHANGES, Exchange
from estimatesync_simulator.laboratory import run_simulated


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.id)
def test_the_simulated_api_server_answers_as_the_table_says(exchange: Exchange) -> None:
    assert run_simulated(exchange.happen) == exchange.outcome
