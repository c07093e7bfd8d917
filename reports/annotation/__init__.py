"""The offline annotation page."""
