"""The tests: one file a source file, in the same place of the tree; nothing but tests and benchmarks imports them."""
