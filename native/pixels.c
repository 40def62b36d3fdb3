/* Planes of a picture that somebody else has decoded: its pixels, row by row, become brightness and colour as JFIF has them
 * (ITU-T T.871, 7), averaged on the way where fewer will do. */
#include "pixels.h"

#if defined(__x86_64__) && !defined(PLAIN)
#define EITHER __attribute__((target_clones("avx2", "default")))
#else
#define EITHER
#endif

enum { CHUNK = 256 /* samples made at once, so that what is summed up for them stays near */, BITS = 16 };
#define FIXED(part) ((int)((part) * (1 << BITS) + 0.5))

/* The sums of `rows` rows, of their first `count` bytes each. */
EITHER static void add_rows(const uint8_t *const *row, int rows, int count, uint16_t *restrict sum) {
    for (int i = 0; i < count; i++) sum[i] = row[0][i];
    for (int k = 1; k < rows; k++)
        for (int i = 0; i < count; i++) sum[i] += row[k][i];
}

/* Each `side` sums of pixels, red, green and blue of 16 bits, become one sample in each plane, of 1 << area pixels. */
EITHER static void make_colour(const uint16_t *sum, int side, int area, uint8_t made[3][CHUNK]) {
    const int shift = BITS + area, half = 1 << (shift - 1), middle = (128 << shift) + half - 1;
    uint64_t total[CHUNK];
    for (int x = 0; x < CHUNK; x++) {
        uint64_t pixel[SIDE_MOST];
        memcpy(pixel, sum + (size_t)x * side * PIXEL, side * sizeof *pixel);
        total[x] = pixel[0];
        for (int k = 1; k < side; k++) total[x] += pixel[k];
    }
    for (int x = 0; x < CHUNK; x++) {
        int red = total[x] & 0xFFFF, green = total[x] >> 16 & 0xFFFF, blue = total[x] >> 32 & 0xFFFF;
        made[0][x] = (FIXED(0.299) * red + FIXED(0.587) * green + FIXED(0.114) * blue + half) >> shift;
        made[1][x] = (FIXED(0.5) * blue - FIXED(0.168735892) * red - (FIXED(0.5) - FIXED(0.168735892)) * green + middle) >> shift;
        made[2][x] = (FIXED(0.5) * red - FIXED(0.081312411) * blue - (FIXED(0.5) - FIXED(0.081312411)) * green + middle) >> shift;
    }
}

EITHER static void make_grey(const uint16_t *sum, int side, int area, uint8_t *restrict y) {
    for (int x = 0; x < CHUNK; x++) {
        int total = 1 << area >> 1;
        for (int k = 0; k < side; k++) total += sum[x * side + k];
        y[x] = total >> area;
    }
}

int pixels_room(Planes *planes, int channels, int side) {
    planes->count = channels == 1 ? 1 : 3;
    for (int i = 0; i < planes->count; i++) {
        Plane *plane = &planes->plane[i];
        if (!plane_new(plane, up(planes->width, side) / side, up(planes->height, side) / side)) return 0;
        plane->across = plane->down = 1.0 / side;
    }
    return 1;
}

void pixels_add(Planes *planes, const uint8_t *const *row, int side, int top) {
    uint16_t sum[CHUNK * SIDE_MOST * PIXEL];
    uint8_t made[3][CHUNK];
    const uint8_t *from[SIDE_MOST];
    const int channels = planes->count == 1 ? 1 : PIXEL, area = side == 8 ? 6 : side == 4 ? 4 : side == 2 ? 2 : 0;
    for (int x = 0; x < planes->plane[0].width; x += CHUNK) {
        int count = planes->plane[0].width - x < CHUNK ? planes->plane[0].width - x : CHUNK;
        int first = x * side, there = planes->width - first < count * side ? planes->width - first : count * side;
        for (int k = 0; k < side; k++) from[k] = row[k] + (size_t)first * channels;
        add_rows(from, side, there * channels, sum);
        for (int i = there * channels; i < CHUNK * side * channels; i++) sum[i] = sum[i - channels];  /* as the last pixel */
        if (channels == 1) make_grey(sum, side, area, made[0]);
        else make_colour(sum, side, area, made);
        for (int i = 0; i < planes->count; i++)
            memcpy(planes->plane[i].data + top * planes->plane[i].stride + x, made[i], count);
    }
}

void pixels_end(Planes *planes) {
    for (int i = 0; i < planes->count; i++) plane_pad(&planes->plane[i]);
}

int planes_from_pixels(Planes *planes, const uint8_t *pixels, size_t stride, int channels, int side, Stop *stop) {
    const uint8_t *row[SIDE_MOST];
    if (!pixels_room(planes, channels, side)) return 0;
    for (int top = 0; top < planes->plane[0].height; top++) {
        if (stopped(stop)) return 0;
        for (int k = 0; k < side; k++) {
            size_t y = (size_t)top * side + k, last = planes->height - 1;
            row[k] = pixels + (y < last ? y : last) * stride;
        }
        pixels_add(planes, row, side, top);
    }
    pixels_end(planes);
    return 1;
}
