"""The vocabulary as frozen dataclasses: what is declared, seen, locked and planned.

Data and what can be read off them; nothing here decides or acts.
"""
