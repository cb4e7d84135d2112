"""The benchmarks, one module per question."""
