"""HelloTalk signalling: who is online, who rings whom, and the offers, answers and candidates of their calls.

A pure core (`service.domain`) decides what a call does; everything else carries bytes to it, carries its
decisions out, or watches.
"""

__version__ = "0.1.0"
