"""The only room that changes the world: the engine, images, containers and networks, and what runs inside them.

Never here: what a packet means (evidence), what a call is (harness), or how anything is shown (report, cli).
"""
