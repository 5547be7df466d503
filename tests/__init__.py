"""Tests of the service. Those that several parts share stand in `support`."""
