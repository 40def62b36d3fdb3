/* Lines of a PNG or a TIFF, as they are unpacked, become planes: filters are undone (PNG, third edition, 9; TIFF's differences
 * are the first of them), colours looked up, rows averaged. Whoever calls has seen that the picture is a simple one: 8 bits, not interlaced. */
#include "lines.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { NONE, SUB, UP, AVERAGE, PAETH, SLACK = 16 /* bytes around each line that loops may read */ };
static const uint32_t OPAQUE = 0xFF;

#define INLINE static inline __attribute__((always_inline))

/* A pixel, its channels side by side in 16 bits each: they go on together, pixel after pixel, since each waits for its
 * neighbour. What stands behind the channels of this pixel does not count. */
typedef int16_t Wide __attribute__((vector_size(16)));
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint8_t Narrow __attribute__((vector_size(8)));

INLINE Wide load(const uint8_t *from) {
    Narrow bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, Wide);
}

INLINE void store(uint8_t *to, Wide pixel, const size_t channels) {
    Narrow bytes = __builtin_convertvector(pixel, Narrow);
    memcpy(to, &bytes, channels);
}

#ifdef __SSE2__
INLINE Wide distance(Wide number) { return (Wide)_mm_max_epi16((__m128i)number, (__m128i)-number); }
#else
INLINE Wide distance(Wide number) {
    Wide sign = number >> 15;
    return (number ^ sign) - sign;
}
#endif

/* Each byte by itself: what is above a channel's byte stays 0. */
INLINE Wide sum(Wide one, Wide other) { return (Wide)((Bytes)one + (Bytes)other); }

/* The one of left, up and corner that is nearest to left + up - corner; of equals the first (9.4). */
INLINE Wide paeth(Wide left, Wide up, Wide corner) {
    Wide across = up - corner, down = left - corner;
    Wide by_left = distance(across), by_up = distance(down), by_corner = distance(across + down);
    Wide not_left = (by_left > by_up) | (by_left > by_corner), not_up = by_up > by_corner;
    Wide other = (up & ~not_up) | (corner & not_up);
    return (left & ~not_left) | (other & not_left);
}

INLINE void undo(int filter, uint8_t *line, const uint8_t *above, size_t count, const size_t channels) {
    Wide left = {0}, corner = {0};
    for (size_t i = 0; i < count && filter == SUB; i += channels)
        store(line + i, left = sum(left, load(line + i)), channels);
    for (size_t i = 0; i < count && filter == AVERAGE; i += channels)
        store(line + i, left = sum(load(line + i), (left + load(above + i)) >> 1), channels);
    for (size_t i = 0; i < count && filter == PAETH; i += channels) {
        Wide up = load(above + i);
        store(line + i, left = sum(load(line + i), paeth(left, up, corner)), channels);
        corner = up;
    }
    for (size_t i = 0; i < count && filter == UP; i++) line[i] += above[i];
}

/* The line's pixels as pixels.c takes them. NULL, or why not. */
static const char *expand(const Lines *lines, const uint8_t *line, uint8_t *row) {
    const size_t width = lines->planes.width;
    if (lines->colours) {
        uint32_t most = 0;
        for (size_t x = 0; x < width; x++) {
            most = line[x] > most ? line[x] : most;
            memcpy(row + x * PIXEL, &lines->palette[line[x]], PIXEL);
        }
        if (most >= (uint32_t)lines->colours) return "a colour that is not in its palette";
    } else if (lines->channels == 3) {
        for (size_t x = 0; x < width; x++) memcpy(row + x * PIXEL, line + 3 * x, PIXEL);
    } else {
        memcpy(row, line, width * lines->channels);
    }
    if (lines->channels < PIXEL) return NULL;
    uint32_t alpha = OPAQUE;
    for (size_t x = 0; x < width; x++) alpha &= row[x * PIXEL + 3];
    return alpha == OPAQUE ? NULL : "transparent";
}

static void begin(Lines *lines) {
    lines->filled = lines->filter != OF_ITS_OWN;
    if (lines->filled) lines->line[0] = (uint8_t)lines->filter;
}

/* A line that is whole. NULL, or why the picture is declined. */
static const char *finish(Lines *lines) {
    uint8_t *line = lines->line + 1;
    const uint8_t *above = lines->above + 1;
    const int filter = lines->line[0], side = lines->side, at = lines->y % side;
    if (filter > PAETH) return "an unknown filter";
    if (lines->channels == 1) undo(filter, line, above, lines->length - 1, 1);
    else if (lines->channels == 3) undo(filter, line, above, lines->length - 1, 3);
    else undo(filter, line, above, lines->length - 1, 4);
    const char *why = expand(lines, line, lines->row[at]);
    if (why) return why;
    lines->above = lines->line;
    lines->line = line == lines->memory + SLACK + 1 ? lines->memory + 3 * SLACK + lines->length : lines->memory + SLACK;
    begin(lines);
    lines->y++;
    if (at < side - 1 && lines->y < lines->planes.height) return NULL;
    const uint8_t *row[SIDE_MOST];
    for (int k = 0; k < side; k++) row[k] = lines->row[k < at ? k : at];
    pixels_add(&lines->planes, row, side, (lines->y - 1) / side);
    if (lines->y == lines->planes.height) pixels_end(&lines->planes);
    return NULL;
}

int lines_begin(Lines *lines, int channels, int side, const uint8_t *palette, int colours, int filter) {
    const size_t width = lines->planes.width, row = up(bytes(width, PIXEL, SLACK), SLACK);
    lines->channels = channels;
    lines->side = side;
    lines->colours = colours;
    lines->filter = filter;
    lines->length = width * channels + 1;
    /* Two lines with slack around them, then the rows. */
    lines->memory = calloc(1, bytes(side, row, bytes(2, lines->length, 4 * SLACK)));
    if (!lines->memory) return 0;
    lines->line = lines->memory + SLACK;
    lines->above = lines->memory + 3 * SLACK + lines->length;
    for (int k = 0; k < side; k++) lines->row[k] = lines->memory + 4 * SLACK + 2 * lines->length + k * row;
    begin(lines);
    for (int i = 0; i < colours; i++) memcpy(&lines->palette[i], palette + 3 * i, 3);
    return pixels_room(&lines->planes, channels == 1 && !colours ? 1 : PIXEL, side);
}

const char *lines_add(Lines *lines, const uint8_t *data, size_t size, Stop *stop) {
    while (size > 0) {
        if (lines->y == lines->planes.height) return "more lines than it is high";
        size_t count = lines->length - lines->filled < size ? lines->length - lines->filled : size;
        memcpy(lines->line + lines->filled, data, count);
        lines->filled += count;
        data += count;
        size -= count;
        if (lines->filled < lines->length) return NULL;
        const char *why = finish(lines);
        if (why) return why;
        if (stopped(stop)) return NULL;
    }
    return NULL;
}

void lines_free(Lines *lines) {
    free(lines->memory);
    lines->memory = NULL;
}
