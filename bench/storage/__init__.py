"""What a run keeps: images, tables, results and the log."""
