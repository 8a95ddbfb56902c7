"""The pure core: values in, values out.

Nothing in here reads a file, opens a socket, looks at a clock or draws a random number.
"""
