"""The accelerator: built where a compiler and libjpeg-turbo are, left out where not. The rest: pyproject.toml."""

from setuptools import Extension, setup

SOURCES = ("module", "jpeg", "baseline", "scans", "idct", "progressive", "fdct", "pixels", "lines", "lzw", "samples")
SOURCES += ("resample",)
HEADERS = ("planes", "baseline", "scans", "huffman", "progressive", "block", "pixels", "lines")

setup(
    ext_modules=[
        Extension(
            "hotfolder.imaging._planes",
            [f"native/{name}.c" for name in SOURCES],
            depends=[f"native/{name}.h" for name in HEADERS],
            libraries=["jpeg"],
            extra_compile_args=["-O3", "-fno-math-errno", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
