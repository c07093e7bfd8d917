"""Templates and style sheet of the audit report."""
