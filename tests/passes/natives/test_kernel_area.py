"""The window of a convolution."""

from sparqc.passes.natives.kernel_area import kernel_area


def test_the_area_of_windows_of_every_rank():
    assert kernel_area([64, 32, 3, 3]) == 9
    assert kernel_area([64, 32, 5]) == 5
    assert kernel_area([64, 32, 1, 2, 3]) == 6
    assert kernel_area([64, 32]) == 1
