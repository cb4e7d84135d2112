"""General helpers that import nothing else of this project."""
