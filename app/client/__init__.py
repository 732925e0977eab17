"""The command line for people. It speaks HTTP with the service and imports nothing of it."""
