"""Embeddings of machine speech -> which generator made it, or none that is known."""
