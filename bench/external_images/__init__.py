"""Images made outside Evenhand: their list, the files, and labels given to them."""
