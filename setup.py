"""The accelerator: built where a compiler and libjpeg's headers are, left out where not. The rest: pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "hotfolder.imaging._planes",
            ["native/planes.c", "native/baseline.c", "native/progressive.c"],
            depends=["native/baseline.h", "native/block.h", "native/progressive.h"],
            libraries=["jpeg"],
            extra_compile_args=["-O3", "-fno-math-errno", "-std=gnu11", "-Wall", "-Wextra"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
