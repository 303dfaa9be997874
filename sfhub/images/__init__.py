"""Pictures as numbers: between files, PIL and tensors, and how different two of them look. Imports nothing of ours."""
