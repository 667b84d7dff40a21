"""Makes runtimes, images and the probe ready, in a content-addressed cache."""
