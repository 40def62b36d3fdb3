/* How rows of pixels become planes: pixels.c offers it to the other decoders of the core. */
#ifndef PIXELS_H
#define PIXELS_H

#include "planes.h"

enum { PIXEL = 4 /* bytes of a colour: red, green, blue, and one that does not count */, SIDE_MOST = 8 };

/* Room for the planes of so many pixels, of 1 (grey) or PIXEL channels, averaged over squares of `side` pixels (1, 2, 4 or 8).
 * 0: no memory. */
int pixels_room(Planes *planes, int channels, int side);

/* The row `top` of the planes, of `side` rows of pixels. */
void pixels_add(Planes *planes, const uint8_t *const *row, int side, int top);

/* After the last row. */
void pixels_end(Planes *planes);

#endif
