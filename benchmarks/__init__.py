"""Measurements of speed, as medians, CPU time and ratios within one run; never part of the tests."""
