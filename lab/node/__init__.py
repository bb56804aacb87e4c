"""The programs: sockets, clocks, files and voice around the overlay's machines. `python -m lab.node ROLE`."""
