"""The leaderboard: entries, checks, gates, ranking, verification."""
