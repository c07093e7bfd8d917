"""How accurate judges are, and how far they agree."""
