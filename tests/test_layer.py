from __future__ import annotations

import numpy as np

from hwprune.layer import ChannelCount


def test_channels_follow_the_widths_of_all_their_groups():
    count = ChannelCount(fixed=3, per_unit=((0, 1), (2, 49)))
    widths = np.array([[4, 9, 1], [8, 9, 2]])
    assert count.of(widths).tolist() == [3 + 4 + 49, 3 + 8 + 98]
    assert ChannelCount(fixed=3).of(widths).tolist() == [3, 3]
