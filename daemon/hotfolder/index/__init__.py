"""The index: all SQL of hotfolder. `Database` writes in groups, `Readers` read, and each table has a module.

A function whose first argument is a `Reader` only reads, on any thread. One that takes a `sqlite3.Connection` changes
rows, and runs inside `Database.write`.
"""
