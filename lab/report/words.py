"""Shorter words for narrow terminals."""

DEPENDS = {
    "endpoint-independent": "independent",
    "address-dependent": "address",
    "address-and-port-dependent": "address, port",
}
"""On what a mapping or a filter depends."""
