"""Methods that train the model."""
