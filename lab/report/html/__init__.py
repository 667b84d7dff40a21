"""The report as one static HTML page: a view model in plain Python, templates, one style sheet, one script."""
