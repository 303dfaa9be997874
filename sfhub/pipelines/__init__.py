"""What users call: pipelines put the networks together, load them from the Hub and turn codes into pictures."""
