"""Typed access to the C code, its threads, and which instruction set it runs on."""
