"""Commands on the control topics: requests, responses and their execution."""
