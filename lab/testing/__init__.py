"""What a test of somebody else's stands on: pytest's fixtures `lab` and `call`, and what a failed test shows and keeps.

Belongs here: pytest's side of it. Never: what the harness does, or how a report looks.
"""
