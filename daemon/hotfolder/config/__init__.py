"""The configuration: its keys, how it is read, what must fit together, and messages that point into the user's file."""

from hotfolder.config.load import Loaded, find, load
from hotfolder.config.schema import Config, Hook, Watch
from hotfolder.config.units import DailyAt, Window

__all__ = ["Config", "DailyAt", "Hook", "Loaded", "Watch", "Window", "find", "load"]
