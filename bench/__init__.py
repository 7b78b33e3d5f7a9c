"""Measurements of speed and memory: `python -m bench`. Never part of the tests: a busy machine must not fail them."""
