"""How changes below a root come to be known, and what is compared with the index when.

Read from the top: `watcher` puts the parts of one watch together. Its data is in `watched` and `condition`.

- Events: `observer` has the kernel watch a `tree` (of `nodes`) where `coverage` allows it, and polls the rest. The
  `intake` keeps one of the `notes` a path until `settle` has it due; `trails` follows renames. What is due becomes a
  job; `folder_events` does what was reported of whole folders, `folder_moves` their renames.
- Walks: `rounds` is the thread that may touch the root. Its `agenda` (with the `schedule`) is what was asked for, and
  who waits for a `request`; `presence` is whether root and output are there. `walks` makes the walks of one request,
  and `sweep` removes what they marked once nothing is `outstanding`.
- One reconcile: `walk` goes from folder to folder, `compare` takes the names of one with its rows (`ledger`),
  `missing` marks what was not found, and `findings` counts. `rules` decide what is a source at all.
"""
