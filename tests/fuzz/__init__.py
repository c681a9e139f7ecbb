"""Seeded fuzzing of every file reader: a correct load or a clear refusal, never a traceback, a
hang, a warning or a wrong number.
"""
