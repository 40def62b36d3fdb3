"""hotfolder: drop an image into a folder; a moment later every rendition you need is there, and it stays right."""

__version__ = "0.1.0"
