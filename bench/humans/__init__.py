"""Labels by people: what they are handed, what they answer, and the anchors that come of it."""
