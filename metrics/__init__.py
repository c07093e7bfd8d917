"""From images to estimates: judges, the label table, and the numbers made of it."""
