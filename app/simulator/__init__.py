"""The demo's pretended microscope, Zocalo and RELION. They speak through messages, tables and files like the real ones.

The service cannot tell the difference, and nothing but ``main`` imports this.
"""
