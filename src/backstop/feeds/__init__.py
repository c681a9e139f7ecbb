"""Readers of foreign data: each turns files into events, once. A value that does not fit is refused
by name, or counted.
"""
