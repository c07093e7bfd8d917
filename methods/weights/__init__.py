"""Methods that edit cross-attention weights."""
