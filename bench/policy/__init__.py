"""The decisions on results: gates, ranking, Pareto fronts, and which setting of a method is ranked.

All are pure functions of results.
"""
