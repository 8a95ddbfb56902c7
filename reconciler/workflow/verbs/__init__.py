"""The verbs of the command line, one module each, on manifests that were read already.

What only some verbs need is imported by those: an offline plan starts without an API's client.
"""
