"""backstop: the default-management engine of a crypto-derivatives venue."""

__version__ = "0.1.0"
