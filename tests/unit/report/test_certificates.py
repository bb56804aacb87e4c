"""The page's table of a certification: what was not measured stands below it, escaped, and is no fault."""

from typing import Any

from lab.certify.behaviour import Behaviour, Link, Outbound
from lab.certify.certificate import Certification, SiteCertificate, Verdict
from lab.report.certificates import table

OUT = Outbound(True, True, "anything", True, True)
DOES = Behaviour("endpoint-independent", "endpoint-independent", "preserving", True, 15.0, Link(10.0, 0.0), OUT)


def document(*notes: str) -> dict[str, Any]:
    verdict = Verdict(DOES, DOES, (), ())
    return Certification(
        (SiteCertificate("flat", "linux", "none", None, verdict, None, 9.0, notes=notes),), 9.0
    ).to_json()


def test_what_was_not_measured_is_said_below_the_table_and_is_no_fault() -> None:
    text = table(document("not measured: <toward> home"))
    assert '<ul class="quiet"><li>flat: not measured: &lt;toward&gt; home</li></ul>' in text
    assert "faults" not in text and "<ul" not in table(document())


def test_a_certification_that_was_kept_before_there_were_notes_is_shown() -> None:
    old = document()
    del old["sites"][0]["notes"]
    assert table(old) == table(document())
