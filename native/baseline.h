/* The samples of a baseline JPEG; see baseline.c. */
#ifndef BASELINE_H
#define BASELINE_H

#include "huffman.h"

/* One part (Y, Cb or Cr). A unit of the file has `across` by `down` of its blocks, 1 or 2 each; a block becomes `size` by
 * `size` samples (8, 4, 2 or 1). At `data` there is memory for all blocks of all units. `steps` is the quantization table
 * in natural order. */
typedef struct {
    int across, down, size;
    size_t stride;
    uint8_t *data;
    const uint16_t *steps;
    Codes mean, waves;
} BaselinePart;

typedef struct {
    BaselinePart part[3];
    int count, units_across, units_down;
    unsigned restart;    /* units between restart markers, 0 without */
    const uint8_t *data; /* what follows the header of the only scan */
    size_t size;
    Stop *stop;
} Baseline;

void baseline_prepare(void);

/* Fills the parts. 0 for all that is not just as it should be, of which nothing is said, and without memory: then libjpeg
 * is to be asked, unless it was told to stop. */
int baseline_read(const Baseline *what);

#endif
