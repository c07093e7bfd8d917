"""Methods that change the guided noise prediction."""
