"""The sign-off section of a report: findings, thresholds, impact ratios, clauses of regulation."""
