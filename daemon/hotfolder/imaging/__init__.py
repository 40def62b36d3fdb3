"""Pixels, and nothing of the daemon: decode once, make every rendition. Imports only presets and errors."""

from hotfolder.imaging import native
from hotfolder.imaging.analysis.analyze import analyze_bytes
from hotfolder.imaging.decoding.decode import Limits, Opened, open_image
from hotfolder.imaging.decoding.reading import read_all
from hotfolder.imaging.formats.registry import LENIENT, decoders, installed_extras, is_hollow, sniff
from hotfolder.imaging.memory import PHOTO_PIXELS, peak, photo_peak
from hotfolder.imaging.native import Stop
from hotfolder.imaging.plan import Plan
from hotfolder.imaging.record import Record
from hotfolder.imaging.rendering.resize import has_simd
from hotfolder.imaging.renditions import Output, Part, Rendered, narrowed, render, render_parts, sizes, small_jpeg

__all__ = [
    "LENIENT",
    "PHOTO_PIXELS",
    "Limits",
    "Opened",
    "Output",
    "Part",
    "Plan",
    "Record",
    "Rendered",
    "Stop",
    "analyze_bytes",
    "decoders",
    "has_simd",
    "installed_extras",
    "is_hollow",
    "narrowed",
    "native",
    "open_image",
    "peak",
    "photo_peak",
    "read_all",
    "render",
    "render_parts",
    "sizes",
    "small_jpeg",
    "sniff",
]
