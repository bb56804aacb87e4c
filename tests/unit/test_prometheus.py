"""The text that Prometheus reads."""

from lab.prometheus import Exposition


def test_what_strangers_say_breaks_no_line() -> None:
    exposition = Exposition("n")
    exposition.counter("turned_away", "Refused.", {'a "b"\\\n': 2}, "reason")
    assert exposition.text().splitlines()[2] == 'lab_turned_away_total{node="n",reason="a \\"b\\"\\\\\\n"} 2'


def test_a_figure_has_a_line_for_each_value_of_its_label() -> None:
    exposition = Exposition("n")
    exposition.gauge("flows", "Flows.", {"udp": 2, "tcp": 1}, "protocol")
    assert exposition.text().splitlines()[1:] == [
        "# TYPE lab_flows gauge",
        'lab_flows{node="n",protocol="tcp"} 1',
        'lab_flows{node="n",protocol="udp"} 2',
    ]
