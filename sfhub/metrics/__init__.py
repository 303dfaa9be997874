"""Measures of images and edits: colour difference, separability of regions, Fréchet distance."""
