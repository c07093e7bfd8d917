"""Judges: classifiers of perceived attributes. ``base`` defines their interface."""
