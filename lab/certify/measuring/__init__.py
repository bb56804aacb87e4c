"""The questions, a file for each kind, in the order in which a site is asked them.

Belongs here: asking, and findings. Never: what should have been found.
"""
