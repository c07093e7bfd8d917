"""Commands before a run: check this machine, fetch what a suite needs, say what a run takes."""
