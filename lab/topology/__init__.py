"""Compose YAML to a frozen, validated Topology: what the world is, never what happens in it.

Pure: it reads files and nothing else; no socket, process or engine is touched here.
"""

from lab.topology.fitting import router_fits
from lab.topology.model import Attachment, Network, Node, Role, Topology
from lab.topology.parse import parse
from lab.topology.validate import conflicts

__all__ = ["Attachment", "Network", "Node", "Role", "Topology", "conflicts", "parse", "router_fits"]
