"""The routes, one module a resource: each has a `router` that takes what its routes query, and nothing but HTTP.

A plain function runs in FastAPI's threads; what touches a root or an output is asynchronous and runs in those of
files.py, so that a mount that hangs stops nothing else.
"""
