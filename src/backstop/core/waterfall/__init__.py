"""Who bears what: the stages, each a plan and its application, in the venue's order."""
