"""The only code that touches log and snapshot files. Knows batches and their bytes, not what they mean."""
