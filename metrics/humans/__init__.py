"""People as judges: choosing pictures for them, reading and checking their answers, one truth of many."""
