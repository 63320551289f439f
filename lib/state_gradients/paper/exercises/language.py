"""Targets of the exercises of Sections 4.2 to 4.3.4."""
