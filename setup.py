"""Which packages there are, found: pyproject.toml cannot say that a package lies in a folder of another name."""

from setuptools import find_packages, setup

FOLDERS = {"autolrs_cli": "autolrs_cli", "autolrs_recipes": "recipes", "autolrs_configs": "configs"}

setup(
    package_dir=FOLDERS,
    packages=[
        name
        for package, folder in FOLDERS.items()
        for name in (package, *(f"{package}.{inner}" for inner in find_packages(folder)))
    ],
)
