"""Sound on disk or in packages -> Trials -> batches of equal-length waves."""
