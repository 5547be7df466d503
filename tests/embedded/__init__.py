"""Tests of the embedded database, and of the databases that other tests stand on."""
