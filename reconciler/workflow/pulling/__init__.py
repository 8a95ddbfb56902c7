"""``pull``: outputs as files that say what the API says, and what becomes of them.

Records digests in the lockfile; starts nothing, and replaces nothing that it did not write itself.
"""

#: Where files go unless told, beside the manifests.
DIRECTORY = "outputs"
