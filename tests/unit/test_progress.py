"""What progress and sizes are called: the examples in the code hold."""

import doctest

from fsarctl import progress


def test_the_examples_hold() -> None:
    found = doctest.testmod(progress)
    assert found.failed == 0
    assert found.attempted == 8
