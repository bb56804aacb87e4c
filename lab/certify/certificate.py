"""The outcome for a site and for a lab, as data and as the document of `lab certify --json`.

Pure data. Belongs here: shapes. Never: measuring, printing.
"""

from collections.abc import Mapping, Sequence
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
    """A site; `ipv4` or `ipv6` is None where it has no such addresses inside.

    `failure`: why nothing was measured; `claims`: then, what would have been held against it, by family, IPv4 first.
    `notes`: what is set and was not measured, for nobody who could be asked sees it.
    """

    site: str
    profile: str
    firewall: str
    behind: str | None
    ipv4: Verdict | None
    ipv6: Verdict | None
    seconds: float
    failure: str | None = None
    claims: tuple[Behaviour, ...] = ()
    notes: tuple[str, ...] = ()

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
        verdicts = [verdict for verdict in (self.ipv4, self.ipv6) if verdict]
        claimed = _families([verdict.claimed.to_json() for verdict in verdicts])
        measured = _families([verdict.measured.to_json() for verdict in verdicts])
        if self.failure is not None:
            claimed = _families([one.to_json() for one in self.claims])
            measured = _nulls(claimed)
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
            "notes": list(self.notes),
            "claimed": claimed,
            "measured": measured,
            "requirements": [one.to_json() for verdict in verdicts for one in verdict.requirements],
            "seconds": round(self.seconds, 1),
        }


def _families(said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One family's keys, with another's below its name."""
    return {**said[0], **({"ipv6": said[1]} if said[1:] else {})} if said else {}


def _nulls(said: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys, and nothing known of any."""
    return {key: _nulls(value) if isinstance(value, Mapping) else None for key, value in said.items()}


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
