"""What changes for a program that switches from cocapi's events to ours, with its client and with ours."""
