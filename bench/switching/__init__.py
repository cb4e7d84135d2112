"""The differences for a program that switches from cocapi's events to coc2mqtt's, with either client."""
