"""The tab *Mix regions*: a base portrait, and for each of its regions another portrait to take it from."""

from sfhub.space.mix_regions.layout import TITLE, build, suits

__all__ = ["TITLE", "build", "suits"]
