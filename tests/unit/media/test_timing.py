"""The NTP form of a wall clock, as it travels in the header extension."""

import pytest

from lab.media.timing import ntp_bytes, wall_of_ntp


def test_ntp_time_of_the_unix_epoch_is_the_one_of_rfc_5905() -> None:
    assert ntp_bytes(0.0) == (2_208_988_800).to_bytes(4, "big") + bytes(4)


def test_half_a_second_is_the_top_bit_of_the_fraction() -> None:
    assert ntp_bytes(0.5)[4:] == b"\x80\x00\x00\x00"


@pytest.mark.parametrize("wall", [0.0, 1_700_000_000.123456, 2_085_978_495.75, 2_085_978_496.25, 4_000_000_000.5])
def test_a_wall_clock_survives_to_the_microsecond_in_either_era(wall: float) -> None:
    assert wall_of_ntp(ntp_bytes(wall), near=wall + 3) == pytest.approx(wall, abs=2e-6)


def test_an_ntp_time_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="NTP timestamp has 7 bytes, expected 8"):
        wall_of_ntp(bytes(7), near=0.0)
