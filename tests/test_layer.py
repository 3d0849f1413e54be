from __future__ import annotations

import numpy as np

from hwprune.layer import ChannelCount, channels


def test_channels_follow_the_widths_of_all_their_groups():
    counts = [ChannelCount(fixed=3, per_unit=((0, 1), (2, 49))), ChannelCount(fixed=3)]
    widths = np.array([[4, 9, 1], [8, 9, 2]])
    assert channels(counts, widths).tolist() == [[3 + 4 + 49, 3], [3 + 8 + 98, 3]]
