"""How the notebooks become the pages of the book.

Read `rendering` (jupytext, papermill, what makes a page be run again), then `figures`
(those of single pages).
"""
