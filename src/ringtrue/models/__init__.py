"""(B, T) waves -> logits, frame logits and embeddings; preprocessing lives inside every model.

The letters that every shape in ringtrue uses: B clips in a batch, T samples (16 kHz), F feature bins,
L frames, D embedding dimensions, K classes.
"""
