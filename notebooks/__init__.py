"""Notebooks for PYNQ: `pynq get-notebooks` delivers them to a board."""
