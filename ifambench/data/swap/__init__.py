"""Background swaps of images with masks: the same objects on other backgrounds.

The rules are those of ImageNet-9 (Xiao et al. 2020, arXiv 2006.09994), for any images with masks.
All of it is pure functions of arrays and tables:

    quality.py   which images can be swapped at all
    pairing.py   which background each object gets; the table is the suite
    shapes.py    boxes, dilation, soft edges, placement of a mask
    fills.py     a background without its object
    compose.py   image + mask + background -> one of the eight variants
    pools.py     backgrounds of another collection

A suite file declares variants in `[[variant]] kind = "background_swap"`; they are rendered when
asked for, in the geometry of the model (resized and cropped first, then composed). What is in a
pairing table is decided in the suite's own geometry, the centre crop of `image_size` pixels, so it
does not depend on the model.
"""
