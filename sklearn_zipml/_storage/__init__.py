"""Packed rows in memory and on disk."""
