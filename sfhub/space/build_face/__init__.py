"""The tab *Build a face*: the components of a SemanticStyleGAN, to be dragged, scaled, left out and seen one by one."""

from sfhub.space.build_face.layout import TITLE, build, suits

__all__ = ["TITLE", "build", "suits"]
