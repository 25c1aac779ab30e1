"""The version, a literal that the build reads from the text of this file."""

__version__ = "0.1.0.dev0"
