"""The command line: one module for each verb. Only this package prints and exits."""
