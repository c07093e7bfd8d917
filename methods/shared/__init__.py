"""Helpers that methods of several families use."""
