"""HTTP: admission, request bodies, routes and error bodies."""
