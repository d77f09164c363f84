"""Other ways to solve: integer programs, heuristics, several networks at once.

`heterolith.scheduler.solve` is the door; it uses `joint` for problems with members.
"""
