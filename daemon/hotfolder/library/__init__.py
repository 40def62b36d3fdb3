"""What a whole set of images says: statistics, likenesses, a report. Pure functions over records; one pass, small."""

from hotfolder.library.entries import Entry, of_index
from hotfolder.library.likeness import NEAR, exact, near
from hotfolder.library.summary import Summary

__all__ = ["NEAR", "Entry", "Summary", "exact", "near", "of_index"]
