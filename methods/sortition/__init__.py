"""Sortition, Evenhand's own method."""
