"""What the tests install beside Zocalo's published packages: stand-ins for RELION and for the cluster."""
