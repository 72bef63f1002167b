"""Answers from memory: questions in their plainest form, about sessions that are near.

Whatever is not plain, or not known here and now, gets no answer here; `gate` and `web.check` know
how. Where both answer, they say the same, byte for byte.
"""
