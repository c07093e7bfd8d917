"""Methods that change text embeddings."""
