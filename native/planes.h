/* What the files of the core share: planes of samples, and what the Python module asks of the others. */
#ifndef PLANES_H
#define PLANES_H

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { LANES = 32, BLOCK = 16, LARGEST_SIDE = 65500 /* pixels, of any JPEG that libjpeg reads or writes */ };

/* Samples of one kind. Rows are `stride` apart; stride is a multiple of LANES, the rows there are a multiple of BLOCK,
 * and LANES bytes follow the last: so loops may run over the edge in whole steps. `across` and `down` say how many
 * samples there are for a pixel of the picture. */
typedef struct {
    int width, height;
    size_t stride;
    double across, down;
    uint8_t *data;
} Plane;

/* A picture: 1 (grey) or 3 planes, and its size in pixels. `direct`: decoded by baseline.c. */
typedef struct {
    int width, height, count, direct;
    Plane plane[3];
} Planes;

/* `count` times `each` and `more`, or SIZE_MAX where that is more than a number holds: sizes come from files, and a product
 * that wraps would be too little. */
static inline size_t bytes(size_t count, size_t each, size_t more) {
    size_t product, sum;
    return __builtin_mul_overflow(count, each, &product) || __builtin_add_overflow(product, more, &sum) ? SIZE_MAX : sum;
}

static inline size_t up(size_t number, size_t step) { return (number + step - 1) / step * step; }

/* What is as large as this is mapped by itself (see pool/allocator.py): in large pages, where the system has them. Else the first
 * touch of each of a photo's thousands of small ones takes as long as reading a scan. */
enum { MAPPED = 8 << 20, PAGE = 4096 };

static inline void *in_large_pages(void *memory, size_t size) {
#ifdef MADV_HUGEPAGE
    uintptr_t first = up((uintptr_t)memory, PAGE), end = ((uintptr_t)memory + size) / PAGE * PAGE;
    if (memory && size >= MAPPED) madvise((void *)first, end - first, MADV_HUGEPAGE); /* where it cannot be, nothing is lost */
#endif
    return memory;
}

/* Memory for so much; NULL where there is not enough. */
static inline void *allocate(size_t count, size_t each, size_t more) {
    size_t size = bytes(count, each, more);
    return size == SIZE_MAX ? NULL : in_large_pages(malloc(size), size);
}

/* The same, all 0. */
static inline void *allocate_zeros(size_t count, size_t each) {
    return in_large_pages(calloc(count, each), bytes(count, each, 0));
}

/* Room for a plane; 0 where there is not enough memory. */
static inline int plane_new(Plane *plane, size_t width, size_t height) {
    if (width > INT_MAX || height > INT_MAX) return 0;
    plane->width = (int)width;
    plane->height = (int)height;
    plane->stride = up(width, LANES);
    plane->data = allocate(plane->stride, up(height, BLOCK), LANES);
    return plane->data != NULL;
}

/* Repeats the last column and row over the room behind them: what an encoder sees there costs bytes and bleeds in. */
static inline void plane_pad(Plane *plane) {
    size_t rows = up(plane->height, BLOCK), wide = plane->width;
    for (int y = 0; y < plane->height; y++) {
        uint8_t *row = plane->data + y * plane->stride;
        memset(row + wide, row[wide - 1], plane->stride - wide);
    }
    const uint8_t *last = plane->data + (plane->height - 1) * plane->stride;
    for (size_t y = plane->height; y < rows; y++) memcpy(plane->data + y * plane->stride, last, plane->stride);
    memset(plane->data + rows * plane->stride, 0, LANES);
}

/* Work may be told to end before it is done: by another thread, which makes the byte at `cancel` (where there is one) anything
 * but 0, or by the clock. `ended` says which it was. */
enum { GOES_ON, CANCELLED, LATE };
typedef struct {
    const uint8_t *cancel;
    double deadline;  /* on `clock_now`; INFINITY: none, and the clock is not read */
    int ended;
} Stop;

static inline double clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether to end; every loop over rows looks here, each few rows at least. What was begun then counts as failed. */
static inline int stopped(Stop *stop) {
    if (stop->ended) return stop->ended;
    if (stop->cancel && __atomic_load_n(stop->cancel, __ATOMIC_RELAXED)) stop->ended = CANCELLED;
    else if (stop->deadline < INFINITY && clock_now() >= stop->deadline) stop->ended = LATE;
    return stop->ended;
}

/* ---- jpeg.c ---- */

/* Why there is no result, where it is not that work was told to stop: there was not enough memory, or what `text` says. */
typedef struct {
    int memory;
    char text[200];
} Failure;

/* Fills `planes`, whose size is what the caller was told, from the JPEG at 1/denominator (1, 2, 4 or 8). 0: see `stop`
 * and `failure`. The caller frees the planes' data, also after a failure. */
int planes_decode(Planes *planes, const uint8_t *data, size_t size, int denominator, Stop *stop,
                  Failure *failure);

/* Writes the planes, the colour at half size, as a JPEG into memory that the caller frees, also after a failure. `tables`,
 * where given, are taken in place of the quality: two of 64 steps, in natural order. 0: see `stop` and `failure`. */
int planes_encode(const Planes *planes, int quality, const uint8_t *tables, int scans, uint8_t **data, size_t *size,
                  Stop *stop, Failure *failure);

/* Name and version of the library that it was built against. */
const char *jpeg_library(void);

/* ---- pixels.c ---- */

/* Fills `planes`, whose size is what the caller was told, from pixels of 1 channel (grey) or 4 (red, green, blue and one that
 * does not count), its rows `stride` bytes apart, averaged over squares of `side` pixels (1, 2, 4 or 8). 0: no memory, or see
 * `stop`. The caller frees the planes' data, also after a failure. */
int planes_from_pixels(Planes *planes, const uint8_t *pixels, size_t stride, int channels, int side, Stop *stop);

/* ---- samples.c ---- */

/* Fills `planes`, whose size is what the caller was told, from three planes whose rows are `stride` bytes apart: brightness of
 * this size, colour of half of it (rounded up), averaged over squares of `side` samples (1, 2, 4 or 8); `is_video`: in the range
 * of video. 0: no memory, or see `stop`. The caller frees the planes' data, also after a failure. */
int planes_from_samples(Planes *planes, const uint8_t *const data[3], const int stride[3], int width, int height, int side,
                        int is_video, Stop *stop);


/* ---- lzw.c ---- */

/* Unpacks at most `room` bytes, less than 4 GB; returns how many there were before the end or what is damaged. The first code
 * has to be that which clears the table. See `stop`, too. */
size_t lzw_unpack(const uint8_t *data, size_t size, uint8_t *to, size_t room, Stop *stop);

/* ---- resample.c ---- */

typedef struct {
    int width, height, orientation, halved;  /* halved: the colour gets half the size */
    int average;                              /* in place of Lanczos */
    double left, top, right, bottom;
} Wish;

void resample_prepare(void);

/* All planes of the result; sets same[i] where nothing would change and the source's own serves. 0: no memory, or see
 * `stop`. The caller frees the data of those that are not the same, also after a failure. */
int planes_resize(const Planes *from, Planes *to, const Wish *wish, int *same, Stop *stop);

#endif
