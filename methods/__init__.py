"""Debiasing methods, one file each; :mod:`evenhand.methods.base` is their contract."""
