/* Lines of a PNG or a TIFF become planes (lines.c). */
#ifndef LINES_H
#define LINES_H

#include "pixels.h"

enum { OF_ITS_OWN = -1 /* each line begins with the number of its filter */ };

/* A picture whose lines come piece by piece; all zero before `lines_begin`. */
typedef struct {
    Planes planes;  /* the caller's to keep or to free at any time */
    int channels, side, colours;  /* bytes of a pixel in a line; of the square that is averaged; entries of the palette */
    int filter;                   /* that of all lines, or OF_ITS_OWN */
    int y;                        /* lines that are done */
    size_t length, filled;        /* bytes of a line, its filter's among them; how many of the next are there */
    uint8_t *memory, *line, *above, *row[SIDE_MOST];
    uint32_t palette[256];
} Lines;

/* `planes` has the picture's size; `channels`: 1, 3 or 4, of 8 bits; `palette`: `colours` times red, green and blue, where
 * there is one; `filter`: that of all lines (0 to 4), whose number none begins with, or OF_ITS_OWN. 0: no memory. `lines_free`
 * afterwards in any case. */
int lines_begin(Lines *lines, int channels, int side, const uint8_t *palette, int colours, int filter);

/* NULL, or why the picture is declined; see `stop`, too. */
const char *lines_add(Lines *lines, const uint8_t *data, size_t size, Stop *stop);

/* All but the planes. */
void lines_free(Lines *lines);

#endif
