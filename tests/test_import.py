"""What importing the package costs, and what it offers."""

import subprocess
import sys

import pytest

import sfhub


def run(code: str) -> str:
    path = f"import sys; sys.path[:] = {sys.path!r}\n"
    return subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_and_its_command_line_imports_no_torch():
    loaded = run("import sfhub, sfhub.cli\nprint([m for m in ('torch', 'diffusers', 'gradio') if m in sys.modules])")
    assert loaded.strip() == "[]"


@pytest.mark.parametrize("name", [name for name in sfhub.__all__ if name != "__version__"])
def test_every_public_name_is_there_when_it_is_used(name):
    assert name in dir(sfhub)
    assert getattr(sfhub, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'StyleGAN9'"):
        sfhub.StyleGAN9  # noqa: B018
