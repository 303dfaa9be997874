"""The pages of the tests of `sfhub.space`, to be attacked."""

from tests.space.conftest import _gradio_folder, families_page_address, served

__all__ = ["_gradio_folder", "families_page_address", "served"]
