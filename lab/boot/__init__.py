"""The first program of every container: attaches it to its networks, then becomes what the node is.

Belongs here: what is done once, inside a container, with a container's privileges. Never: Docker, calls, verdicts.
"""
