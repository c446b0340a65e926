"""The parts of scripts/bench.sh: how is measured, on which images, what, and how it is told."""
