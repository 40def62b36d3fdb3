"""What a whole set of images shows: statistics, likenesses, a report. Pure functions over records; one pass, small."""

from hotfolder.collection.entries import Entry, of_index
from hotfolder.collection.likeness import NEAR, exact, near
from hotfolder.collection.summary import Summary

__all__ = ["NEAR", "Entry", "Summary", "exact", "near", "of_index"]
