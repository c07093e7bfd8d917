"""The board: its entries, how they are checked, recomputed and verified, and what is built of them."""
