"""Charts, tables and wording that all reports share."""
