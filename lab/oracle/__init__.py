"""A small pure model that predicts what a cell shows: order of calls, Linux DAC, capabilities, user namespaces."""
