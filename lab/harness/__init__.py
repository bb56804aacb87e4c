"""What one does with a lab: up, status, call, faults. The command line and the tests both stand on this.

Belongs here: steps that need the world and the judge together. Never: printing, options, Docker's API.
"""

from lab.harness.call_report import CallReport
from lab.harness.lab import Lab

__all__ = ["CallReport", "Lab"]
