"""Tests of what is handed over: the image and its neighbours, as far as they can be checked without Docker."""
