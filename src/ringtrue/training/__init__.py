"""Batches and a model -> a checkpoint; sees train and dev, cannot see a test set."""
