"""Correction of shares for the judges' classification errors."""
