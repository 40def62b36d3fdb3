/* Planes at another size, turned and cropped: weighed sums of rows, by Lanczos or by averages. */
#include "planes.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { LOBES = 3, FINE = 1024, BITS = 14, ONE = 1 << BITS };

/* How the samples of one axis are made from those of another: sample j is the sum of `taps` (an even number) samples
 * from first[j] on, weighed by weight[j * taps + …], whole numbers that sum up to ONE. */
typedef struct {
    int count, taps, low, high;  /* low, high: what of the source is used */
    int identity;                /* each sample is the one at the same place */
    int *first;
    int16_t *weight;
} Axis;

/* Lanczos' kernel for x ≥ 0, filled when the module is loaded; sines in place of it cost as much as the sums. */
static double kernel[LOBES * FINE + 2];

static void kernel_fill(void) {
    const double pi = 3.14159265358979323846;
    kernel[0] = 1.0;
    for (int i = 1; i < LOBES * FINE; i++) {
        double x = pi * i / FINE;
        kernel[i] = LOBES * sin(x) * sin(x / LOBES) / (x * x);
    }
}

static double lanczos(double x) {
    double at = x * FINE;
    if (at >= LOBES * FINE) return 0.0;
    int left = (int)at;
    return kernel[left] + (at - left) * (kernel[left + 1] - kernel[left]);
}

static void axis_free(Axis *axis) {
    free(axis->first);
    free(axis->weight);
    *axis = (Axis){0};
}

/* No more taps than any sample uses, and none behind the end; but of an odd length one row of padding may count 0. */
static void axis_trim(Axis *axis, int length, int used) {
    axis->low = length;
    axis->high = 0;
    for (int j = 0; j < axis->count; j++) {
        int over = used <= length ? axis->first[j] + used - length : axis->first[j], shift = over > 0 ? over : 0;
        int16_t *from = axis->weight + (size_t)j * (axis->taps + 1), *to = axis->weight + (size_t)j * used;
        memmove(to + shift, from, (used - shift) * sizeof *to);
        memset(to, 0, shift * sizeof *to);
        axis->first[j] -= shift;
        if (axis->first[j] < axis->low) axis->low = axis->first[j];
        if (axis->first[j] + used > axis->high) axis->high = axis->first[j] + used;
    }
    if (axis->high > length) axis->high = length;
    axis->taps = used;
}

/* The samples of `size` pixels, one for each `group` of 1 or 2 of them; pixel u lies at start + u * step on the source's
 * axis, where sample i of `length` lies at i + 0.5. A negative step mirrors. `average`: by the mean of what a sample
 * covers, in place of Lanczos. 0: no memory. */
static int axis_new(Axis *axis, int size, int group, double start, double step, int length, int average) {
    int count = (size + group - 1) / group;
    axis->identity = count == length && start == 0.0 && step * group == 1.0;
    double scale = fmax(fabs(step) * group, 1.0), reach = average ? (scale + 1) / 2 : LOBES * scale;
    int most = 2 * (int)ceil(reach) + 2;
    axis->taps = most < length ? most : length;  /* and one more, where an odd number is made even */
    axis->count = count;
    axis->first = allocate(count, sizeof *axis->first, 0);
    axis->weight = allocate(bytes(count, (size_t)axis->taps + 1, 0), sizeof *axis->weight, 0);
    double *exact = allocate(axis->taps, sizeof *exact, 0);
    if (!axis->first || !axis->weight || !exact) {
        free(exact);
        axis_free(axis);
        return 0;
    }
    int used = 1;
    for (int j = 0; j < count; j++) {
        double pixel = (j + 0.5) * group, sum = 0.0;
        if (pixel > size - 0.5 && !axis->identity) pixel = size - 0.5;  /* half of a group lies outside */
        double middle = start + pixel * step;
        int from = (int)ceil(middle - reach - 0.5), left = ONE, largest = 0, last = length - axis->taps;
        from = from < 0 ? 0 : from > last ? last : from;
        for (int k = 0; k < axis->taps; k++) {
            double away = fabs(from + k + 0.5 - middle);
            sum += exact[k] = average ? fmin(fmax(reach - away, 0.0), 1.0) : lanczos(away / scale);
        }
        int16_t *weight = axis->weight + (size_t)j * (axis->taps + 1);
        for (int k = 0; k < axis->taps; k++) {
            left -= weight[k] = (int16_t)lrint(exact[k] / sum * ONE);
            if (fabs(exact[k]) > fabs(exact[largest])) largest = k;
        }
        weight[largest] += (int16_t)left;  /* what rounding left over */
        int skip = 0, weights = axis->taps;
        while (weight[skip] == 0) skip++;
        while (weight[weights - 1] == 0) weights--;
        weights -= skip;
        memmove(weight, weight + skip, weights * sizeof *weight);
        memset(weight + weights, 0, (axis->taps + 1 - weights) * sizeof *weight);
        axis->first[j] = from + skip;
        if (weights > used) used = weights;
    }
    free(exact);
    axis_trim(axis, length, used + (used & 1));
    return 1;
}

/* One row: the weighed sum of `taps` rows, `width` rounded up to LANES. */
typedef void AddRows(const uint8_t *from, size_t stride, const int16_t *weight, int taps, uint8_t *to, int width);

#ifdef __x86_64__
/* Two rows at a time: their samples side by side as 16-bit numbers, multiplied and added in pairs. The same lines for
 * 16 bytes (SSE2, which every x86-64 has) and for 32 (AVX2). */
#define ADD_ROWS(name, cpu, Vector, wide, load, store, op)                                                          \
    __attribute__((target(cpu))) static void name(const uint8_t *from, size_t stride, const int16_t *weight,        \
                                                     int taps, uint8_t *to, int width) {                               \
        const Vector zero = op(set1_epi32)(0), half = op(set1_epi32)(ONE / 2);                                         \
        for (int x = 0; x < width; x += wide) {                                                                        \
            const uint8_t *row = from + x;                                                                             \
            Vector a = half, b = half, c = half, d = half;                                                             \
            for (int k = 0; k < taps; k += 2, row += 2 * stride) {                                                     \
                Vector one = load((const Vector *)row), two = load((const Vector *)(row + stride));                    \
                Vector low = op(unpacklo_epi8)(one, two), high = op(unpackhi_epi8)(one, two);                          \
                int pair;                                                                                              \
                memcpy(&pair, weight + k, sizeof pair);                                                                \
                Vector both = op(set1_epi32)(pair);                                                                    \
                a = op(add_epi32)(a, op(madd_epi16)(op(unpacklo_epi8)(low, zero), both));                              \
                b = op(add_epi32)(b, op(madd_epi16)(op(unpackhi_epi8)(low, zero), both));                              \
                c = op(add_epi32)(c, op(madd_epi16)(op(unpacklo_epi8)(high, zero), both));                             \
                d = op(add_epi32)(d, op(madd_epi16)(op(unpackhi_epi8)(high, zero), both));                             \
            }                                                                                                          \
            a = op(packs_epi32)(op(srai_epi32)(a, BITS), op(srai_epi32)(b, BITS));                                     \
            c = op(packs_epi32)(op(srai_epi32)(c, BITS), op(srai_epi32)(d, BITS));                                     \
            store((Vector *)(to + x), op(packus_epi16)(a, c));                                                         \
        }                                                                                                              \
    }
#define SSE2(name) _mm_##name
#define AVX2(name) _mm256_##name
ADD_ROWS(add_rows_sse2, "sse2", __m128i, 16, _mm_loadu_si128, _mm_storeu_si128, SSE2)
ADD_ROWS(add_rows_avx2, "avx2", __m256i, 32, _mm256_loadu_si256, _mm256_storeu_si256, AVX2)
static AddRows *add_rows = add_rows_sse2;

static void add_rows_choose(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) add_rows = add_rows_avx2;
}
#else /* what a compiler makes vectors of by itself, such as NEON's */
static void add_rows(const uint8_t *from, size_t stride, const int16_t *weight, int taps, uint8_t *to, int width) {
    for (int x = 0; x < width; x += LANES) {
        const uint8_t *row = from + x;
        int sum[LANES];
        for (int i = 0; i < LANES; i++) sum[i] = ONE / 2;
        for (int k = 0; k < taps; k++, row += stride)
            for (int i = 0; i < LANES; i++) sum[i] += weight[k] * row[i];
        for (int i = 0; i < LANES; i++) {
            int value = sum[i] < 0 ? 0 : sum[i] >> BITS;
            to[x + i] = value > 255 ? 255 : value;
        }
    }
}

static void add_rows_choose(void) {}
#endif

/* Resamples the rows of `from`, of its columns from `left` on, into `to`, which has the size wanted. 0: told to stop. */
static int resample_rows(const Plane *from, int left, const Axis *axis, Plane *to, Stop *stop) {
    for (int j = 0; j < axis->count; j++) {
        if (j % BLOCK == 0 && stopped(stop)) return 0;
        add_rows(from->data + axis->first[j] * from->stride + left, from->stride, axis->weight + (size_t)j * axis->taps,
                 axis->taps, to->data + j * to->stride, to->width);
    }
    return 1;
}

typedef uint8_t Sixteen __attribute__((vector_size(BLOCK)));

/* Rows become columns, 16 by 16: four rounds that each interleave the first half of the rows with the second. 0: told to
 * stop. */
static int transpose(const Plane *from, Plane *to, Stop *stop) {
    for (int y = 0; y < from->height; y += BLOCK) {
        if (stopped(stop)) return 0;
        for (int x = 0; x < from->width; x += BLOCK) {
            Sixteen a[BLOCK], b[BLOCK];
            const Sixteen low = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
            for (int i = 0; i < BLOCK; i++) memcpy(&a[i], from->data + (y + i) * from->stride + x, BLOCK);
            for (int round = 0; round < 4; round++) {
                for (int i = 0; i < BLOCK / 2; i++) {
                    b[2 * i] = __builtin_shuffle(a[i], a[i + BLOCK / 2], low);
                    b[2 * i + 1] = __builtin_shuffle(a[i], a[i + BLOCK / 2], low + 8);
                }
                memcpy(a, b, sizeof a);
            }
            for (int i = 0; i < BLOCK; i++) memcpy(to->data + (x + i) * to->stride + y, &a[i], BLOCK);
        }
    }
    return 1;
}

/* `to` from `from`: rows first, by `vertical`; then columns, by `horizontal`; `turned`: with rows and columns
 * exchanged, `vertical` still being that of the source's rows. 0: no memory, or told to stop. */
static int resample(const Plane *from, const Axis *horizontal, const Axis *vertical, int turned, Plane *to, Stop *stop) {
    Plane rows = {0}, columns = {0}, done = {0};
    int left = horizontal->low, wide = horizontal->high - horizontal->low, good = 0;
    if (!plane_new(to, turned ? vertical->count : horizontal->count, turned ? horizontal->count : vertical->count))
        return 0;
    if (!turned && horizontal->identity) return resample_rows(from, 0, vertical, to, stop);
    if (plane_new(&rows, wide, vertical->count) && plane_new(&columns, vertical->count, wide) &&
        resample_rows(from, left, vertical, &rows, stop) && transpose(&rows, &columns, stop)) {
        Plane whole = columns;
        whole.data -= left * whole.stride;  /* so that rows have their numbers */
        if (turned)
            good = resample_rows(&whole, 0, horizontal, to, stop);
        else
            good = plane_new(&done, vertical->count, horizontal->count) &&
                   resample_rows(&whole, 0, horizontal, &done, stop) && transpose(&done, to, stop);
    }
    free(rows.data);
    free(columns.data);
    free(done.data);
    return good;
}

/* The axes of one plane of the result: the box of the upright picture, scaled to the wish. EXIF's orientation says
 * where the upright picture's x and y lie in the stored one. 0: no memory. */
static int axes_new(const Planes *from, int i, const Wish *wish, Axis *along_x, Axis *along_y) {
    const Plane *plane = &from->plane[i];
    int o = wish->orientation, turned = o >= 5, group = i && wish->halved ? 2 : 1;
    int upright_wide = turned ? from->height : from->width, upright_high = turned ? from->width : from->height;
    double x = wish->left, dx = (wish->right - wish->left) / wish->width;
    double y = wish->top, dy = (wish->bottom - wish->top) / wish->height;
    if (o == 2 || o == 3 || o == 6 || o == 7) x = upright_wide - x, dx = -dx;
    if (o == 3 || o == 4 || o == 7 || o == 8) y = upright_high - y, dy = -dy;
    double across = turned ? plane->down : plane->across, down = turned ? plane->across : plane->down;
    int same = fabs(dx) == 1.0 && fabs(dy) == 1.0, average = same || wish->average;  /* same: colour is halved as by libjpeg */
    return axis_new(along_x, wish->width, group, x * across, dx * across, turned ? plane->height : plane->width, average) &&
           axis_new(along_y, wish->height, group, y * down, dy * down, turned ? plane->width : plane->height, average);
}

int planes_resize(const Planes *from, Planes *to, const Wish *wish, int *same, Stop *stop) {
    Axis along_x = {0}, along_y = {0};
    int turned = wish->orientation >= 5, good = 1;
    for (int i = 0; i < from->count && good; i++) {
        const Plane *plane = &from->plane[i];
        if (i < 2) {  /* the two of colour are alike */
            axis_free(&along_x);
            axis_free(&along_y);
            good = axes_new(from, i, wish, &along_x, &along_y);
        }
        same[i] = good && !turned && along_x.identity && along_y.identity;
        if (same[i]) {
            to->plane[i] = *plane;
        } else if (good) {
            good = turned ? resample(plane, &along_y, &along_x, 1, &to->plane[i], stop)
                          : resample(plane, &along_x, &along_y, 0, &to->plane[i], stop);
            if (good) plane_pad(&to->plane[i]);
        }
        to->plane[i].across = to->plane[i].down = i && wish->halved ? 0.5 : 1.0;
    }
    axis_free(&along_x);
    axis_free(&along_y);
    return good;
}

void resample_prepare(void) {
    kernel_fill();
    add_rows_choose();
}
