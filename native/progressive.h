/* Planes of samples as a progressive JPEG; see progressive.c. */
#ifndef PROGRESSIVE_H
#define PROGRESSIVE_H

#include "block.h"
#include "planes.h"

/* FAST sends each coefficient in one scan; SMALL refines the brightness once, for fewer bytes in more time. */
enum { BASELINE, FAST, SMALL };

void progressive_prepare(void);

/* A picture of width by height pixels: one part, or three of which the last two have half its size both ways. `table` are
 * the quantization tables of the first and of the others, in natural order. Gives the JPEG in memory that the caller
 * frees; 0 where there is not enough memory, or it was told to stop. */
int progressive_write(const Samples *parts, int count, int width, int height, uint16_t table[2][64], int scans,
                      uint8_t **out, size_t *size, Stop *stop);

#endif
