"""The pytest plugin: scenario files collected, an item for each cell; and cells for a user's own tests."""
