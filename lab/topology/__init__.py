"""Compose YAML to a frozen, validated Topology: what the world is, never what happens in it.

Pure: it reads files and nothing else; no socket, process or engine is touched here.
"""
