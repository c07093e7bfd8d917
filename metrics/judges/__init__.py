"""Judges: classifiers of perceived attributes, with one contract in ``base``."""
