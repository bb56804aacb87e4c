"""Commands about a site while the lab runs: nat shows it; set, renew and forget change it.

Belongs here: options and what is printed. Never: work.
"""

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from lab.cli.program import AS_JSON, commands, document, example, the_lab
from lab.nat import FIREWALLS, TRANSLATIONS

if TYPE_CHECKING:
    from lab.harness import Lab


@commands.command(**example("lab nat home", "lab nat home --watch"))
@click.argument("site")
@click.option("--watch", is_flag=True, help="Go on, and show what appears, is refreshed and expires, until Ctrl-C.")
@AS_JSON
def nat(site: str, watch: bool, as_json: bool) -> None:
    """Show what the router of SITE remembers of its hosts: each mapping, whom it is for, and how long it has left.

    Read from the kernel: the flows that it tracks, and the router's own tables where its profile keeps some. Packets
    stand beside where the kernel counts them. With --watch --json, each change is one document on a line of its own.
    """
    lab = the_lab()
    if watch:
        _watch_nat(lab, site, as_json)
        return
    found = lab.mappings(site)
    if as_json:
        document(found.to_json())
        return
    from lab.report.console import out
    from lab.report.mappings import mappings

    out().print(mappings(found, out().width))


def _watch_nat(lab: "Lab", site: str, as_json: bool) -> None:
    from dataclasses import asdict

    from lab.harness.mappings import EVERY, news
    from lab.report.console import out
    from lab.report.mappings import Watching

    before = None
    with Watching(out()) as watching:
        for now in lab.watch_mappings(site):
            at = time.time()
            changed, before = news(before, now), now
            if as_json:
                for change in changed:
                    click.echo(json.dumps({"at": round(at, 3), **asdict(change)}))
            else:
                watching.follow(now, changed, at)
            sys.stdout.flush()  # whoever reads a pipe sees it now
            time.sleep(EVERY)


@commands.command("set", **example("lab set home --profile symmetric", "lab set home --delay 50ms --loss 5% --up"))
@click.argument("site")
@click.option(
    "--profile",
    help=f"What its router does to addresses; of axes set before, timers stay: {', '.join(TRANSLATIONS)}.",
)
@click.option(
    "--axes",
    help='Axes that differ from its profile\'s, as "udp-timeout=20 hairpinning=yes", in place of those of before.',
)
@click.option("--profile6", help="What its router does to IPv6 addresses: open or nptv6.")
@click.option("--firewall", help=f"What may be opened through its router: {', '.join(FIREWALLS)}.")
@click.option(
    "--portmap",
    help="How hosts may ask its router for ports: on (in every way), upnp (UPnP IGD), natpmp (NAT-PMP, PCP), or off.",
)
@click.option("--delay", help="One-way delay of its link, as 50ms.")
@click.option("--jitter", help="How far a packet's delay may be from that, as 5ms.")
@click.option("--loss", help="Share of packets lost, each by itself, as 5%.")
@click.option(
    "--burst",
    help="Loss in bursts (Gilbert-Elliott), as 1%,30%: shares of packets that begin and that end a burst; or none.",
)
@click.option("--rate", help="Most bits a second, as 1mbit; none for no limit.")
@click.option(
    "--queue", help="What may wait for that rate, as 200ms or 64kB, more is dropped; none for the usual 100ms."
)
@click.option("--mtu", help="Longest packet of its link in bytes, as 1492; above it the sender is told.")
@click.option("--blackhole/--no-blackhole", default=None, help="Whether packets above the MTU vanish without a word.")
@click.option("--up", is_flag=True, help="Figures of the link for what its clients send alone.")
@click.option("--down", is_flag=True, help="For what they are sent alone.")
@click.option("--toward", metavar="SITE", help="For what they send to that other site alone.")
@AS_JSON
def set_(site: str, up: bool, down: bool, toward: str | None, as_json: bool, **figures: Any) -> None:
    """Change a site while the lab runs: its NAT, its firewall, its link. Holds when the command returns.

    Without --up or --down, or with both, a figure of the link goes for each direction. `lab up` restores what the file
    says.
    """
    from lab.harness.changing import SiteChange

    router = {name: figures.pop(name) for name in ("profile", "axes", "profile6", "firewall", "portmap")}
    if (blackhole := figures.pop("blackhole")) is not None:
        figures["blackhole"] = "yes" if blackhole else "no"
    link = {name: value for name, value in figures.items() if value is not None}
    direction: Any = "both" if up and down else "up" if up else "down" if down else None
    change = SiteChange(**router, link=link, direction=direction, toward=toward)
    now = the_lab().set(site, change)
    if as_json:
        document(now)
        return
    click.echo(f"{site} is {_standing(now)}")


def _standing(now: dict[str, Any]) -> str:
    """What a site's router and link are, in a few words."""
    router, link = now.get("router"), now.get("link")
    words = []
    if router:
        axes = f" ({router['axes']})" if router.get("axes") else ""
        ports = f", portmap {router['portmap']}" if router.get("portmap") not in (None, "off") else ""
        words.append(f"{router['profile']}{axes}, firewall {router['firewall']}{ports}")
    if link:
        words += [f"{way}: {text or 'unimpaired'}" for way, text in link["ways"].items()]
    return "; ".join(words)


@commands.command(**example("lab renew home", "lab renew home 203.0.113.99"))
@click.argument("site")
@click.argument("address", required=False)
def renew(site: str, address: str | None) -> None:
    """Give a site a new outer address (the next free one, or ADDRESS), as a provider does overnight.

    It is the one of IPv4; addresses and prefixes of IPv6 stay.
    """
    before, after = the_lab().renew(site, address)
    click.echo(f"{site} was {before} and is {after}")


@commands.command(**example("lab forget home"))
@click.argument("site")
def forget(site: str) -> None:
    """Let a site's router lose all its mappings, as one that is overrun or reset does."""
    the_lab().forget(site)
    click.echo(f"the router of {site} has forgotten its mappings")
