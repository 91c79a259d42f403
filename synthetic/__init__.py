"""Synthetic callers: `signalling simulate` makes traffic, `signalling probe` checks that calls work.

Both are ordinary clients of a running server, and neither knows anything of its insides.
"""
