"""What the parity tests of this folder share."""

import pytest


@pytest.fixture(scope="session")
def relative_error():
    """`max|got - expected| / max|expected|`, the measure of the fixtures' README."""

    def measure(got, expected):
        assert tuple(got.shape) == expected.shape
        return float(abs(got.detach().numpy() - expected).max() / abs(expected).max())

    return measure
