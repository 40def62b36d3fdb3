/* Planes that another decoder has written: copied or averaged, and brought from the range that video has to JFIF's. */
#include "planes.h"

enum { DARKEST = 16, BRIGHTEST = 235, COLOURS = 224 /* steps of colour */, MIDDLE = 128 };

static int within(double value) { return value < 0.0 ? 0 : value > 255.0 ? 255 : (int)lrint(value); }

/* Brightness from 16 to 235 and colour from 16 to 240 (ITU-R BT.601-7, 2.5.3) become all of 0 to 255. */
static void widen(Plane *plane, int colour) {
    uint8_t table[256];
    for (int value = 0; value < 256; value++)
        table[value] = colour ? within((value - MIDDLE) * 255.0 / COLOURS + MIDDLE)
                              : within((value - DARKEST) * 255.0 / (BRIGHTEST - DARKEST));
    const size_t size = plane->stride * plane->height;
    for (size_t i = 0; i < size; i++) plane->data[i] = table[plane->data[i]];
    plane_pad(plane);
}

int planes_from_samples(Planes *planes, const uint8_t *const data[3], const int stride[3], int width, int height, int side,
                        int is_video, Stop *stop) {
    planes->count = 3;
    for (int i = 0; i < 3; i++) {
        int group = i ? 2 : 1;
        Planes one = {.width = (width + group - 1) / group, .height = (height + group - 1) / group};
        int good = planes_from_pixels(&one, data[i], stride[i], 1, side, stop);
        planes->plane[i] = one.plane[0];
        if (!good) return 0;
        planes->plane[i].across = (double)width / planes->width / (group * side);
        planes->plane[i].down = (double)height / planes->height / (group * side);
        if (is_video) widen(&planes->plane[i], i > 0);
    }
    return 1;
}
