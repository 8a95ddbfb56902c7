"""The verbs of the command line as functions: values in, results out.

No click, no printing, no exit codes but those that results carry.
"""
