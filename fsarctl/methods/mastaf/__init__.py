"""MASTAF: maps that look at themselves and at each other before they are compared."""
