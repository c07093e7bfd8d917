"""The first screen of a run's report: verdict, marks, one chart, and images from the same noise."""
