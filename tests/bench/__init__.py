"""The benchmarks (`make bench`): a figure each, with the machine's own yardstick beside it. Nothing imports them."""
