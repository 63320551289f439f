"""Targets of the exercises on the ledger, the claims, the grammar and own models."""
