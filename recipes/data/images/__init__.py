"""Image classification: bundled digits and image folders."""
