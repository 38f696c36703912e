"""Suites in the manner of Waterbirds: objects with masks pasted on photos of two kinds of places.

objects.py   CUB-200-2011, or any suite with masks, as a table of objects of two classes
species.py   which species are waterbirds
assign.py    which object gets which place and which photo
paste.py     an object on a photo
build.py     the folder with `metadata.csv` in the official columns and its suite file
"""
