"""What decides: gates, ranking, Pareto fronts and which setting stands for a method. Pure functions of results."""
