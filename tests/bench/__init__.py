"""The tools that measure, held to measure what they say."""
