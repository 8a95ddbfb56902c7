"""The limits of a run where nobody says otherwise. Imports nothing: every command needs them."""

#: How many targets ``--prune`` deletes at most.
MAX_DELETIONS = 10
#: How many targets are worked on at once.
PARALLELISM = 1000
