"""Studies of the benchmark itself, each one a command that writes what a page of ``docs`` shows."""
