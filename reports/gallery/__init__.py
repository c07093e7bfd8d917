"""The gallery: all images of a run on one page, filtered and enlarged."""
