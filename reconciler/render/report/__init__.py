"""Where a project stands, as one HTML file: values in, text out.

The page needs no other file, no network and no script to be read, and forbids all of it to itself.
Everything that came from manifests, lockfiles or the API is escaped where elements are made, in
``markup``, so that no part of the page has to think of it.
"""
