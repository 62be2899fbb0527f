"""The live page, in a browser."""
