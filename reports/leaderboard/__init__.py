"""The leaderboard as Markdown and as a static site."""
