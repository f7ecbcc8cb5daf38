"""Payments: accept once, charge once, announce always."""
