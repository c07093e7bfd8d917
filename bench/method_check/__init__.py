"""The contract that every method must satisfy, checked on the bundled model: for authors of methods."""
