"""Correcting shares for the judges' errors."""
