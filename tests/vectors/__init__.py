"""Other systems' own test cases, as tables of this project, driven through this engine."""
