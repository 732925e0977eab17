"""The benchmark: how fast the service is at a facility's size, and what MariaDB, FastAPI and nginx would allow."""
