"""Model and Trials -> a scores file -> figures with intervals that one can defend."""
