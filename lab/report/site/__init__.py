"""A static site over many runs: pages, histories, a feed of new flips, data for machines. Pure: runs in, files out."""
