"""Ways of making a picture: one type per kind of step, each in its file, and the recipes that are made of them.

A new kind is a subclass of `sfhub.steps.step.Step` in a file of its own and one line in `sfhub.steps.registry`.
"""
