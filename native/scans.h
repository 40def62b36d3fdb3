/* The samples of a progressive JPEG; see scans.c. */
#ifndef SCANS_H
#define SCANS_H

#include "huffman.h"

enum { TABLES = 4, PARTS = 3 };

/* One part (Y, Cb or Cr): its number in the file; its blocks in a unit, 1 or 2 each way; those of its own, which scans of it alone
 * have; a block becomes `size` by `size` samples (8, 4, 2 or 1). At `data` there is memory for all blocks of all units. `steps`
 * is the quantization table in natural order. */
typedef struct {
    int id, across, down, wide, high, size;
    size_t stride;
    uint8_t *data;
    const uint16_t *steps;
} ScanPart;

typedef struct {
    ScanPart part[PARTS];
    int count, units_across, units_down;
    Codes means[TABLES], waves[TABLES]; /* from before the first scan; without counts where there is none */
    unsigned restart;                   /* units between restart markers, 0 without */
    const uint8_t *data;                /* the header of the first scan, its marker first */
    size_t size;
    Stop *stop;
} Scans;

void scans_prepare(void);

/* Fills the parts. 0 for all that is not just as it should be, of which nothing is said, and without memory: then libjpeg
 * is to be asked, unless it was told to stop. */
int scans_read(const Scans *what);

#endif
