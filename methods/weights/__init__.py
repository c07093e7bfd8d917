"""Methods that edit the cross-attention projections."""
