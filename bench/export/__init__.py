"""Fitted methods in formats that other programs load."""
