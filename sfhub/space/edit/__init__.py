"""The tab *Edit*: named edits of a portrait, one upon another, each kept to the regions that it is about."""

from sfhub.space.edit.layout import TITLE, build, suits

__all__ = ["TITLE", "build", "suits"]
