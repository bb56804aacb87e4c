"""The outcome for a site and for a lab, as data and as the document of `lab certify --json`.

Pure data. Belongs here: shapes. Never: measuring, printing.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.certify.behaviour import Behaviour
from lab.certify.comparing import Difference
from lab.certify.requirements import Requirement


@dataclass(frozen=True)
class Verdict:
    """One address family of a site. `repeated`: what was measured again, and why."""

    claimed: Behaviour
    measured: Behaviour
    differences: tuple[Difference, ...]
    requirements: tuple[Requirement, ...]
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True)
class SiteCertificate:
    """A site; `ipv4` or `ipv6` is None where it has no such addresses inside. `failure`: why nothing was measured."""

    site: str
    profile: str
    firewall: str
    behind: str | None
    ipv4: Verdict | None
    ipv6: Verdict | None
    seconds: float
    failure: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether every axis of every family is as claimed; a site that could not be measured has proven nothing."""
        return not any(self.disagreements())

    def disagreements(self) -> tuple[str, ...]:
        """What does not agree, in words."""
        if self.failure is not None:
            return (f"not measured: {self.failure}",)
        return tuple(
            f"{name}{difference}"
            for name, verdict in (("", self.ipv4), ("IPv6 " if self.ipv4 else "", self.ipv6))
            if verdict
            for difference in verdict.differences
        )

    def repeated(self) -> tuple[str, ...]:
        """What was measured again, for the machine stood still, in words."""
        return tuple(words for verdict in (self.ipv4, self.ipv6) if verdict for words in verdict.repeated)

    def to_json(self) -> dict[str, Any]:
        """The document's entry: the top keys are IPv4's, or IPv6's where the site has nothing else."""
        first = self.ipv4 or self.ipv6
        claimed: dict[str, Any] = first.claimed.to_json() if first else {}
        measured: dict[str, Any] = first.measured.to_json() if first else {}
        required = list(first.requirements) if first else []
        if self.ipv4 and self.ipv6:
            claimed["ipv6"] = self.ipv6.claimed.to_json()
            measured["ipv6"] = self.ipv6.measured.to_json()
            required += self.ipv6.requirements
        return {
            "site": self.site,
            "profile": self.profile,
            "firewall": self.firewall,
            "behind": self.behind,
            "agrees": self.agrees,
            "disagreements": list(self.disagreements()),
            "differences": [
                {"family": family, **asdict(difference)}
                for family, verdict in ((4, self.ipv4), (6, self.ipv6))
                if verdict
                for difference in verdict.differences
            ],
            "failure": self.failure,
            "repeated": list(self.repeated()),
            "claimed": claimed,
            "measured": measured,
            "requirements": [one.to_json() for one in required],
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Certification:
    """Every site that was asked for, in the order of the topology.

    `seed`: what the loss and jitter of links at core were drawn from; `line_seeds`: the same of carriers' lines on the
    way, by the router at which they end.
    """

    sites: tuple[SiteCertificate, ...]
    seconds: float
    seed: int | None = None
    line_seeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether every site is what it claims to be."""
        return all(site.agrees for site in self.sites)

    def to_json(self) -> dict[str, Any]:
        """The document of `lab certify --json`."""
        return {
            "sites": [site.to_json() for site in self.sites],
            "seed": self.seed,
            "line_seeds": dict(self.line_seeds),
            "seconds": round(self.seconds, 1),
        }
