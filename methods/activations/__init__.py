"""Methods that change activations of the U-Net during sampling."""
