"""From results to pages: the HTML audit report and the leaderboard."""
