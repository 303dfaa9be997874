"""Semantic regions of a generator: clusters of its activations and the catalog of which style moves which region."""
