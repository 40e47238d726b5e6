"""How long to wait after failures in a row, wherever the product tries again: doubled each time, up to a bound."""

from typing import Final

_DOUBLINGS_MAX: Final = 32
"""Beyond this every bound is reached, and a float would overflow one day."""


def compute_backoff(failures: int, *, first: float, longest: float) -> float:
    """Compute the wait: `first` after one failure, twice as long after each further one, `longest` at most.

    Args:
        failures: in a row, counted from 1; 0 waits for as long as 1.
        first: in any unit, more than 0.
        longest: in the same unit.
    """
    doublings = min(max(failures - 1, 0), _DOUBLINGS_MAX)
    return min(first * 2.0**doublings, longest)
