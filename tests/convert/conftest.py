"""What the parity tests of this folder share."""

import importlib.util

import pytest


@pytest.fixture(scope="session")
def fill(fixtures_dir):
    """The fixtures' own module, which draws the official networks' weights."""
    spec = importlib.util.spec_from_file_location("parity_fill", fixtures_dir / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def relative_error():
    """`max|got - expected| / max|expected|`, the measure of the fixtures' README."""

    def measure(got, expected):
        assert tuple(got.shape) == expected.shape
        return float(abs(got.detach().numpy() - expected).max() / abs(expected).max())

    return measure
