"""A host of its own beside the clients, or on the internet: it crafts packets, sends them, and reports what it hears.

Belongs here: what runs in the probe's container. Never: what a network should do, or a verdict; lab.certify has those.
"""
