/* Planes that another decoder has written: copied, and brought from the range that video has to JFIF's. */
#include "planes.h"

enum { DARKEST = 16, BRIGHTEST = 235, COLOURS = 224 /* steps of colour */, MIDDLE = 128 };

static int within(double value) { return value < 0.0 ? 0 : value > 255.0 ? 255 : (int)lrint(value); }

/* Brightness from 16 to 235 and colour from 16 to 240 (ITU-R BT.601-7, 2.5.3) become all of 0 to 255. */
static void widen(uint8_t table[256], int colour, int is_video) {
    for (int value = 0; value < 256; value++)
        table[value] = !is_video ? value
                       : colour  ? within((value - MIDDLE) * 255.0 / COLOURS + MIDDLE)
                                 : within((value - DARKEST) * 255.0 / (BRIGHTEST - DARKEST));
}

int planes_from_samples(Planes *planes, const uint8_t *const data[3], int width, int height, int is_video, Stop *stop) {
    uint8_t table[256];
    planes->count = 3;
    for (int i = 0; i < 3; i++) {
        Plane *plane = &planes->plane[i];
        int group = i ? 2 : 1;
        if (!plane_new(plane, (width + group - 1) / group, (height + group - 1) / group)) return 0;
        plane->across = (double)width / planes->width / group;
        plane->down = (double)height / planes->height / group;
        widen(table, i > 0, is_video);
        for (int y = 0; y < plane->height; y++) {
            if (y % BLOCK == 0 && stopped(stop)) return 0;
            const uint8_t *row = data[i] + (size_t)y * plane->width;
            uint8_t *to = plane->data + y * plane->stride;
            for (int x = 0; x < plane->width; x++) to[x] = table[row[x]];
        }
        plane_pad(plane);
    }
    return 1;
}
