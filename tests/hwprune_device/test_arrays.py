"""Arrays over the wire: what goes in comes out, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwprune_device.arrays import TYPES, pack, unpack
from hwprune_device.frame import FrameDecoder, encode

ANY = hnp.arrays(
    st.sampled_from(sorted(TYPES)), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)
)


@given(st.lists(ANY, max_size=4))
def test_arrays_come_out_of_a_frame_as_they_went_in(arrays: list[np.ndarray]):
    told, body = pack(arrays)
    (frame,) = FrameDecoder().feed(encode({"arrays": told}, body))
    found = unpack(frame.header["arrays"], frame.body)
    assert len(found) == len(arrays)
    for one, other in zip(found, arrays, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
        assert one.flags.writeable and one.flags.aligned


def test_the_layout_in_memory_does_not_matter():
    values = np.arange(24, dtype=">i4").reshape(2, 3, 4).transpose(2, 0, 1)
    (found,) = unpack(*pack([values]))
    assert found.dtype == "<i4" and np.array_equal(found, values)


@pytest.mark.parametrize("values", [np.array(["a"]), np.array([{}]), np.array([1j])])
def test_only_numbers_and_truth_values_are_sent(values: np.ndarray):
    with pytest.raises(ValueError, match=r"array 1 holds .* cannot be sent; possible: <f2"):
        pack([np.zeros(1), values])


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ([{"shape": [2], "dtype": "<f4"}], "8 bytes were told and 4 came"),
        ([], "0 bytes were told and 4 came"),
        ([{"shape": [-1], "dtype": "<f4"}], "no array has a shape of"),
        ([{"shape": [1], "dtype": "|O"}], "no array holds '|O'"),
        ([{"shape": [1], "dtype": "V4"}], "no array holds 'V4'"),
    ],
)
def test_what_does_not_fit_is_refused(told: list[dict], said: str):
    with pytest.raises(ValueError) as raised:
        unpack(told, b"four")
    assert said in str(raised.value)
