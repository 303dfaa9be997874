"""The tab *Label regions*: clusters of a generator's activations, to be named and merged into a region catalog."""

from sfhub.space.label_regions.layout import TITLE, build, suits

__all__ = ["TITLE", "build", "suits"]
