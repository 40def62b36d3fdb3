/* JPEG as planes: the optional accelerator behind hotfolder/imaging/native.py.
 *
 * A JPEG holds brightness and two colour differences as planes, the latter often at half size. Here they stay planes
 * from decoding over resampling to encoding: no conversion to RGB and back, no interleaving. baseline.c reads what
 * cameras write, progressive.c writes what viewers get; libjpeg(-turbo) reads headers and all other files, and writes those
 * of one scan. This file gives it rows and resamples between.
 *
 * Sources are hostile. Whatever is unusual (inks, other sampling, 12 bits, arithmetic coding) or makes libjpeg warn
 * ends in Declined: Pillow then decodes it and says what is wrong. The caller has checked the size; it is checked again.
 * Nothing here holds the GIL while it works.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "baseline.h"
#include "progressive.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#if JPEG_LIB_VERSION >= 70
#define DCT_SIZE(part) ((part)->DCT_h_scaled_size)
#define ROWS_AT_ONCE(c) ((c)->max_v_samp_factor * (c)->min_DCT_v_scaled_size)
#else
#define DCT_SIZE(part) ((part)->DCT_scaled_size)
#define ROWS_AT_ONCE(c) ((c)->max_v_samp_factor * (c)->min_DCT_scaled_size)
#endif

enum { LANES = 32, BLOCK = 16, MOST_ROWS = 16, LOBES = 3, FINE = 1024, BITS = 14, ONE = 1 << BITS, FIRST_ROOM = 65536 };

/* Samples of one kind. Rows are `stride` apart; stride is a multiple of LANES, the rows there are a multiple of BLOCK,
 * and LANES bytes follow the last: so loops may run over the edge in whole steps. `across` and `down` say how many
 * samples there are for a pixel of the picture. */
typedef struct {
    int width, height;
    size_t stride;
    double across, down;
    uint8_t *data;
} Plane;

typedef struct {
    PyObject_HEAD
    int width, height, count;  /* of the picture in pixels; 1 (grey) or 3 planes */
    int direct;                /* decoded by baseline.c */
    Plane plane[3];
    PyObject *owner[3];        /* whose memory plane[i].data is; NULL: ours */
} Planes;

static PyObject *planes_type, *Declined;

static size_t up(size_t number, size_t step) { return (number + step - 1) / step * step; }

/* Room for a plane; 0 where there is not enough memory. */
static int plane_new(Plane *plane, int width, int height) {
    plane->width = width;
    plane->height = height;
    plane->stride = up(width, LANES);
    plane->data = malloc(plane->stride * up(height, BLOCK) + LANES);
    return plane->data != NULL;
}

/* Repeats the last column and row over the room behind them: what an encoder sees there costs bytes and bleeds in. */
static void plane_pad(Plane *plane) {
    size_t rows = up(plane->height, BLOCK), wide = plane->width;
    for (int y = 0; y < plane->height; y++) {
        uint8_t *row = plane->data + y * plane->stride;
        memset(row + wide, row[wide - 1], plane->stride - wide);
    }
    const uint8_t *last = plane->data + (plane->height - 1) * plane->stride;
    for (size_t y = plane->height; y < rows; y++) memcpy(plane->data + y * plane->stride, last, plane->stride);
    memset(plane->data + rows * plane->stride, 0, LANES);
}

/* ---- libjpeg's errors ---------------------------------------------------------------------------------------- */

typedef struct {
    struct jpeg_error_mgr manager;
    jmp_buf back;
    char text[JMSG_LENGTH_MAX];
    int memory;  /* it was memory that there was not enough of */
} Errors;

static void give_up(j_common_ptr c) {
    Errors *errors = (Errors *)c->err;
    errors->memory = errors->manager.msg_code == JERR_OUT_OF_MEMORY;
    errors->manager.format_message(c, errors->text);
    longjmp(errors->back, 1);
}

static void on_message(j_common_ptr c, int level) {
    if (level < 0) give_up(c);  /* a warning: the data is damaged */
}

static struct jpeg_error_mgr *errors_new(Errors *errors) {
    jpeg_std_error(&errors->manager);
    errors->manager.error_exit = give_up;
    errors->manager.emit_message = on_message;
    errors->memory = 0;
    return &errors->manager;
}

static PyObject *errors_raise(const Errors *errors) {
    if (errors->memory) return PyErr_NoMemory();
    PyErr_SetString(Declined, errors->text);
    return NULL;
}

static int decline(Errors *errors, const char *why) {
    snprintf(errors->text, sizeof errors->text, "%s", why);
    return 0;
}

/* ---- Decoding ------------------------------------------------------------------------------------------------ */

static const char *unusual(const struct jpeg_decompress_struct *c) {
    if (c->data_precision != 8) return "not 8 bits a sample";
    if (c->arith_code) return "arithmetic coding";
    const jpeg_component_info *part = c->comp_info;
    if (part[0].h_samp_factor > 2 || part[0].v_samp_factor > 2) return "unusual sampling";
    if (c->num_components == 1) return c->jpeg_color_space == JCS_GRAYSCALE ? NULL : "one component that is not grey";
    if (c->num_components != 3 || c->jpeg_color_space != JCS_YCbCr) return "not YCbCr";
    for (int i = 1; i < 3; i++)
        if (part[i].h_samp_factor != 1 || part[i].v_samp_factor != 1) return "unusual sampling";
    return NULL;
}

/* Room for what libjpeg, whose header has been read, will write: whole blocks, in whole rows of them; then the size that is
 * meant. 0 where there is not enough memory. */
static int planes_room(Planes *planes, const struct jpeg_decompress_struct *c) {
    planes->count = c->num_components;
    for (int i = 0; i < planes->count; i++) {
        const jpeg_component_info *part = &c->comp_info[i];
        Plane *plane = &planes->plane[i];
        size_t wide = up(part->width_in_blocks, part->h_samp_factor) * DCT_SIZE(part);
        if (!plane_new(plane, (int)wide, (int)((size_t)part->v_samp_factor * DCT_SIZE(part) * c->total_iMCU_rows))) return 0;
        plane->width = part->downsampled_width;
        plane->height = part->downsampled_height;
        plane->across = (double)part->h_samp_factor * DCT_SIZE(part) / (c->max_h_samp_factor * DCTSIZE);
        plane->down = (double)part->v_samp_factor * DCT_SIZE(part) / (c->max_v_samp_factor * DCTSIZE);
    }
    return 1;
}

/* Lets baseline.c read the scan, where it is one for it. 0: libjpeg must, from where it is; it has not been moved. */
static int decode_baseline(Planes *planes, const struct jpeg_decompress_struct *c) {
    if (c->progressive_mode || c->comps_in_scan != c->num_components || c->Ss || c->Se != DCTSIZE2 - 1 || c->Ah || c->Al)
        return 0;
    const int single = c->num_components == 1;  /* then a unit is a block, whatever the sampling (T.81, A.2.2) */
    const jpeg_component_info *first = &c->comp_info[0];
    Baseline what = {
        .count = c->num_components, .restart = c->restart_interval,
        .units_across = (int)(single ? first->width_in_blocks : up(first->width_in_blocks, first->h_samp_factor) / first->h_samp_factor),
        .units_down = (int)(single ? first->height_in_blocks : c->total_iMCU_rows),
        .data = c->src->next_input_byte, .size = c->src->bytes_in_buffer,
    };
    for (int i = 0; i < what.count; i++) {
        const jpeg_component_info *part = &c->comp_info[i];
        if (c->cur_comp_info[i] != part || part->dc_tbl_no >= NUM_HUFF_TBLS || part->ac_tbl_no >= NUM_HUFF_TBLS ||
            part->dc_tbl_no < 0 || part->ac_tbl_no < 0 || part->quant_tbl_no < 0 || part->quant_tbl_no >= NUM_QUANT_TBLS)
            return 0;
        const JHUFF_TBL *mean = c->dc_huff_tbl_ptrs[part->dc_tbl_no], *waves = c->ac_huff_tbl_ptrs[part->ac_tbl_no];
        const JQUANT_TBL *steps = c->quant_tbl_ptrs[part->quant_tbl_no];
        int size = DCT_SIZE(part);
        if (!mean || !waves || !steps || (size != 8 && size != 4 && size != 2 && size != 1)) return 0;
        what.part[i] = (BaselinePart){
            single ? 1 : part->h_samp_factor, single ? 1 : part->v_samp_factor, size, planes->plane[i].stride, planes->plane[i].data, steps->quantval,
            {mean->bits, mean->huffval}, {waves->bits, waves->huffval},
        };
    }
    return baseline_read(&what);
}

/* Fills `planes` from the JPEG at 1/denominator. 0: `errors` says why not. */
static int decode(Planes *planes, const uint8_t *data, size_t size, int denominator, Errors *errors) {
    struct jpeg_decompress_struct c;
    c.err = errors_new(errors);
    if (setjmp(errors->back)) {
        jpeg_destroy_decompress(&c);
        return 0;
    }
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, (unsigned char *)data, size);
    jpeg_read_header(&c, TRUE);
    const char *why = unusual(&c);
    if ((int)c.image_width != planes->width || (int)c.image_height != planes->height) why = "another size than was told";
    if (why) {
        jpeg_destroy_decompress(&c);
        return decline(errors, why);
    }
    c.scale_num = 1;
    c.scale_denom = denominator;
    c.out_color_space = c.jpeg_color_space;
    c.raw_data_out = TRUE;
    c.dct_method = JDCT_ISLOW;
    jpeg_calc_output_dimensions(&c);
    if (!planes_room(planes, &c)) ERREXIT1(&c, JERR_OUT_OF_MEMORY, 0);
    if ((planes->direct = decode_baseline(planes, &c))) {
        jpeg_destroy_decompress(&c);
        for (int i = 0; i < planes->count; i++) plane_pad(&planes->plane[i]);
        return 1;
    }
    jpeg_start_decompress(&c);
    size_t step[3];
    for (int i = 0; i < planes->count; i++) step[i] = (size_t)c.comp_info[i].v_samp_factor * DCT_SIZE(&c.comp_info[i]);
    JSAMPROW rows[3][MOST_ROWS];
    JSAMPARRAY parts[3] = {rows[0], rows[1], rows[2]};
    for (size_t band = 0; c.output_scanline < c.output_height; band++) {
        for (int i = 0; i < planes->count; i++)
            for (size_t y = 0; y < step[i]; y++)
                rows[i][y] = planes->plane[i].data + (band * step[i] + y) * planes->plane[i].stride;
        jpeg_read_raw_data(&c, parts, ROWS_AT_ONCE(&c));
    }
    jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
    for (int i = 0; i < planes->count; i++) plane_pad(&planes->plane[i]);
    return 1;
}

/* ---- Encoding ------------------------------------------------------------------------------------------------ */

/* Where libjpeg writes to: memory that is the caller's from the first byte on, whatever happens. jpeg_mem_dest tells where
 * its memory lies only when all went well, and takes some as soon as it is named. */
typedef struct {
    struct jpeg_destination_mgr manager;
    uint8_t *data;
    size_t size, room;
} Output;

static boolean output_grow(j_compress_ptr c) {
    Output *out = (Output *)c->dest;
    size_t room = out->room ? 2 * out->room : FIRST_ROOM;
    uint8_t *data = realloc(out->data, room);
    if (!data) ERREXIT1(c, JERR_OUT_OF_MEMORY, 1);
    out->manager.next_output_byte = data + out->room;  /* libjpeg asks when all is full */
    out->manager.free_in_buffer = room - out->room;
    out->data = data;
    out->room = room;
    return TRUE;
}

static void output_start(j_compress_ptr c) { output_grow(c); }

static void output_end(j_compress_ptr c) {
    Output *out = (Output *)c->dest;
    out->size = out->room - out->manager.free_in_buffer;
}

static int encode_progressive(const Planes *planes, uint16_t table[2][DCTSIZE2], int scans, Output *out, Errors *errors) {
    Samples samples[3];
    for (int i = 0; i < planes->count; i++) {
        const Plane *plane = &planes->plane[i];
        samples[i] = (Samples){plane->width, plane->height, plane->stride, plane->data};
    }
    errors->memory = 1;  /* all that can fail */
    return progressive_write(samples, planes->count, planes->width, planes->height, table, scans, &out->data, &out->size);
}

/* Writes the planes, the colour at half size, into `out`, which is all zero; the caller frees its data, also after a
 * failure. libjpeg writes what has a single scan, and says what a quality means; `tables`, where given, are taken instead:
 * two of 64 steps, in natural order. */
static int encode(const Planes *planes, int quality, const uint8_t *tables, int scans, Output *out, Errors *errors) {
    struct jpeg_compress_struct c;
    c.err = errors_new(errors);
    if (setjmp(errors->back)) {
        jpeg_destroy_compress(&c);
        return 0;
    }
    jpeg_create_compress(&c);
    c.image_width = planes->width;
    c.image_height = planes->height;
    c.input_components = planes->count;
    c.in_color_space = planes->count == 3 ? JCS_YCbCr : JCS_GRAYSCALE;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    for (int i = 0; tables && i < 2 * DCTSIZE2; i++) c.quant_tbl_ptrs[i / DCTSIZE2]->quantval[i % DCTSIZE2] = tables[i];
    if (scans != BASELINE) {
        uint16_t table[2][DCTSIZE2];
        for (int t = 0; t < 2; t++) memcpy(table[t], c.quant_tbl_ptrs[t]->quantval, sizeof table[t]);
        jpeg_destroy_compress(&c);
        return encode_progressive(planes, table, scans, out, errors);
    }
    out->manager = (struct jpeg_destination_mgr){NULL, 0, output_start, output_grow, output_end};
    c.dest = &out->manager;
    c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = planes->count == 3 ? 2 : 1;
    c.raw_data_in = TRUE;
    c.optimize_coding = TRUE;
    c.dct_method = JDCT_ISLOW;
    jpeg_start_compress(&c, TRUE);
    JSAMPROW rows[3][MOST_ROWS];
    JSAMPARRAY parts[3] = {rows[0], rows[1], rows[2]};
    int step = c.max_v_samp_factor * DCTSIZE;
    while (c.next_scanline < c.image_height) {
        for (int i = 0; i < planes->count; i++) {
            const Plane *plane = &planes->plane[i];
            int high = i ? DCTSIZE : step;
            size_t top = (size_t)c.next_scanline / step * high;
            for (int y = 0; y < high; y++) rows[i][y] = plane->data + (top + y) * plane->stride;
        }
        jpeg_write_raw_data(&c, parts, step);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return 1;
}

/* ---- Resampling ---------------------------------------------------------------------------------------------- */

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
    axis->first = malloc(count * sizeof *axis->first);
    axis->weight = malloc((size_t)count * (axis->taps + 1) * sizeof *axis->weight);
    double *exact = malloc(axis->taps * sizeof *exact);
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
    used += used & 1;
    /* No more taps than any sample uses, and none behind the end; but of an odd length one row of padding may count 0. */
    axis->low = length;
    axis->high = 0;
    for (int j = 0; j < count; j++) {
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

/* Resamples the rows of `from`, of its columns from `left` on, into `to`, which has the size wanted. */
static void resample_rows(const Plane *from, int left, const Axis *axis, Plane *to) {
    for (int j = 0; j < axis->count; j++)
        add_rows(from->data + axis->first[j] * from->stride + left, from->stride, axis->weight + (size_t)j * axis->taps,
                 axis->taps, to->data + j * to->stride, to->width);
}

typedef uint8_t Sixteen __attribute__((vector_size(BLOCK)));

/* Rows become columns, 16 by 16: four rounds that each interleave the first half of the rows with the second. */
static void transpose(const Plane *from, Plane *to) {
    for (int y = 0; y < from->height; y += BLOCK)
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

/* `to` from `from`: rows first, by `vertical`; then columns, by `horizontal`; `turned`: with rows and columns
 * exchanged, `vertical` still being that of the source's rows. 0: no memory. */
static int resample(const Plane *from, const Axis *horizontal, const Axis *vertical, int turned, Plane *to) {
    Plane rows = {0}, columns = {0}, done = {0};
    int left = horizontal->low, wide = horizontal->high - horizontal->low, good = 0;
    if (!plane_new(to, turned ? vertical->count : horizontal->count, turned ? horizontal->count : vertical->count))
        return 0;
    if (!turned && horizontal->identity) {
        resample_rows(from, 0, vertical, to);
        return 1;
    }
    if (plane_new(&rows, wide, vertical->count) && plane_new(&columns, vertical->count, wide)) {
        resample_rows(from, left, vertical, &rows);
        transpose(&rows, &columns);
        columns.data -= left * columns.stride;  /* so that rows have their numbers */
        if (turned) {
            resample_rows(&columns, 0, horizontal, to);
            good = 1;
        } else if (plane_new(&done, vertical->count, horizontal->count)) {
            resample_rows(&columns, 0, horizontal, &done);
            transpose(&done, to);
            good = 1;
        }
        columns.data += left * columns.stride;
    }
    free(rows.data);
    free(columns.data);
    free(done.data);
    return good;
}

typedef struct {
    int width, height, orientation, halved;  /* halved: the colour gets half the size */
    int average;                              /* in place of Lanczos */
    double left, top, right, bottom;
} Wish;

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

/* All planes of the result; sets same[i] where nothing would change and the source's own serves. 0: no memory. */
static int resized(const Planes *from, Planes *to, const Wish *wish, int *same) {
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
            good = turned ? resample(plane, &along_y, &along_x, 1, &to->plane[i])
                          : resample(plane, &along_x, &along_y, 0, &to->plane[i]);
            if (good) plane_pad(&to->plane[i]);
        }
        to->plane[i].across = to->plane[i].down = i && wish->halved ? 0.5 : 1.0;
    }
    axis_free(&along_x);
    axis_free(&along_y);
    return good;
}

/* ---- Python -------------------------------------------------------------------------------------------------- */

static Planes *planes_new(int width, int height) {
    allocfunc make = (allocfunc)PyType_GetSlot((PyTypeObject *)planes_type, Py_tp_alloc);
    Planes *planes = (Planes *)make((PyTypeObject *)planes_type, 0);  /* all zero */
    if (planes) {
        planes->width = width;
        planes->height = height;
    }
    return planes;
}

static void planes_free(Planes *planes) {
    PyTypeObject *type = Py_TYPE((PyObject *)planes);
    for (int i = 0; i < 3; i++) {
        if (!planes->owner[i]) free(planes->plane[i].data);
        Py_CLEAR(planes->owner[i]);
    }
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(planes);
    Py_DECREF(type);
}

static PyObject *planes_decode(PyObject *module, PyObject *arguments) {
    (void)module;
    Py_buffer data;
    int width, height, denominator, good;
    Errors errors;
    if (!PyArg_ParseTuple(arguments, "y*iii:decode", &data, &width, &height, &denominator)) return NULL;
    Planes *planes = NULL;
    if (width < 1 || height < 1 || width > JPEG_MAX_DIMENSION || height > JPEG_MAX_DIMENSION ||
        (denominator != 1 && denominator != 2 && denominator != 4 && denominator != 8))
        PyErr_SetString(PyExc_ValueError, "width and height are 1 to 65500, the denominator is 1, 2, 4 or 8");
    else
        planes = planes_new(width, height);
    if (planes) {
        Py_BEGIN_ALLOW_THREADS
        good = decode(planes, data.buf, data.len, denominator, &errors);
        Py_END_ALLOW_THREADS
        if (!good) {
            Py_CLEAR(planes);
            errors_raise(&errors);
        }
    }
    PyBuffer_Release(&data);
    return (PyObject *)planes;
}

static PyObject *planes_resized(Planes *self, PyObject *arguments) {
    Wish wish = {0};
    if (!PyArg_ParseTuple(arguments, "(ii)(dddd)ip|p:resized", &wish.width, &wish.height, &wish.left,
                          &wish.top, &wish.right, &wish.bottom, &wish.orientation, &wish.halved, &wish.average))
        return NULL;
    int turned = wish.orientation >= 5, wide = turned ? self->height : self->width;
    int high = turned ? self->width : self->height;
    if (wish.width < 1 || wish.height < 1 || wish.width > JPEG_MAX_DIMENSION || wish.height > JPEG_MAX_DIMENSION ||
        wish.orientation < 1 || wish.orientation > 8 || !(wish.left >= 0 && wish.left < wish.right) ||
        !(wish.right <= wide) || !(wish.top >= 0 && wish.top < wish.bottom) || !(wish.bottom <= high)) {
        PyErr_SetString(PyExc_ValueError, "the box must lie within the upright picture, orientation be 1 to 8");
        return NULL;
    }
    Planes *planes = planes_new(wish.width, wish.height);
    if (!planes) return NULL;
    planes->count = self->count;
    int good, same[3] = {0};
    Py_BEGIN_ALLOW_THREADS
    good = resized(self, planes, &wish, same);
    Py_END_ALLOW_THREADS
    for (int i = 0; i < self->count; i++)
        if (same[i]) planes->owner[i] = Py_NewRef(self->owner[i] ? self->owner[i] : (PyObject *)self);
    if (good) return (PyObject *)planes;
    Py_DECREF(planes);
    return PyErr_NoMemory();
}

static PyObject *planes_jpeg(Planes *self, PyObject *arguments) {
    int quality, scans, good;
    const uint8_t *tables = NULL;
    Py_ssize_t length = 0;
    Output out = {0};
    Errors errors;
    if (!PyArg_ParseTuple(arguments, "ii|y#:jpeg", &quality, &scans, &tables, &length)) return NULL;
    if (tables && (length != 2 * DCTSIZE2 || memchr(tables, 0, length))) {
        PyErr_SetString(PyExc_ValueError, "tables are two of 64 steps, each 1 to 255");
        return NULL;
    }
    if (scans < BASELINE || scans > SMALL) {
        PyErr_SetString(PyExc_ValueError, "scans is BASELINE, FAST or SMALL");
        return NULL;
    }
    double half = 0.5;
    for (int i = 0; i < self->count; i++)
        if (self->plane[i].across != (i ? half : 1.0) || self->plane[i].down != (i ? half : 1.0)) {
            PyErr_SetString(PyExc_ValueError, "only what was resized with its colour halved can be encoded");
            return NULL;
        }
    Py_BEGIN_ALLOW_THREADS
    good = encode(self, quality, tables, scans, &out, &errors);
    Py_END_ALLOW_THREADS
    PyObject *result = good ? PyBytes_FromStringAndSize((char *)out.data, out.size) : errors_raise(&errors);
    free(out.data);
    return result;
}

static PyObject *planes_plane(Planes *self, PyObject *arguments) {
    int i;
    if (!PyArg_ParseTuple(arguments, "i:plane", &i)) return NULL;
    if (i < 0 || i >= self->count) {
        PyErr_SetString(PyExc_IndexError, "no such plane");
        return NULL;
    }
    const Plane *plane = &self->plane[i];
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)plane->width * plane->height);
    if (!bytes) return NULL;
    char *to = PyBytes_AsString(bytes);
    for (int y = 0; y < plane->height; y++)
        memcpy(to + (size_t)y * plane->width, plane->data + y * plane->stride, plane->width);
    return Py_BuildValue("(ii)N", plane->width, plane->height, bytes);
}

static PyObject *planes_size(Planes *self, void *unused) {
    (void)unused;
    return Py_BuildValue("(ii)", self->width, self->height);
}

static PyObject *planes_count(Planes *self, void *unused) {
    (void)unused;
    return PyLong_FromLong(self->count);
}

static PyObject *planes_direct(Planes *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(self->direct);
}

static PyMethodDef methods[] = {
    {"resized", (PyCFunction)planes_resized, METH_VARARGS,
     "resized((width, height), (left, top, right, bottom), orientation, halved[, average]) -> Planes\n\n"
     "The box of the upright picture at this size, upright, by Lanczos or by averages; halved: its colour at half size (4:2:0)."},
    {"jpeg", (PyCFunction)planes_jpeg, METH_VARARGS, 
     "jpeg(quality, scans[, tables]) -> bytes\n\nThe picture as a JPEG; its colour must be halved. Scans: BASELINE, FAST, "
     "SMALL. Tables in place of the quality: 128 bytes, for brightness and for colour, in natural order."},
    {"plane", (PyCFunction)planes_plane, METH_VARARGS,
     "plane(number) -> ((width, height), bytes)\n\nThe samples of Y, Cb or Cr, row by row."},
    {NULL, NULL, 0, NULL},
};
static PyGetSetDef attributes[] = {
    {"size", (getter)planes_size, NULL, "Width and height of the picture in pixels, as it is stored.", NULL},
    {"count", (getter)planes_count, NULL, "1 (grey) or 3 (Y, Cb, Cr).", NULL},
    {"direct", (getter)planes_direct, NULL, "Whether it was decoded here, and not by libjpeg.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
static PyType_Slot slots[] = {
    {Py_tp_dealloc, planes_free}, {Py_tp_methods, methods}, {Py_tp_getset, attributes}, {0, NULL},
};
static PyType_Spec spec = {
    "hotfolder.imaging._planes.Planes", sizeof(Planes), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, slots,
};
static PyMethodDef functions[] = {
    {"decode", planes_decode, METH_VARARGS,
     "decode(data, width, height, denominator) -> Planes\n\n"
     "The JPEG at 1/denominator. Raises Declined for what is unusual or damaged."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_planes", "JPEG as planes, by libjpeg.", -1, functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__planes(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    kernel_fill();
    add_rows_choose();
    baseline_prepare();
    progressive_prepare();
    planes_type = PyType_FromSpec(&spec);
    Declined = PyErr_NewException("hotfolder.imaging._planes.Declined", NULL, NULL);
#ifdef LIBJPEG_TURBO_VERSION
#define TEXT(x) #x
#define QUOTED(x) TEXT(x)
    const char *library = "libjpeg-turbo " QUOTED(LIBJPEG_TURBO_VERSION);
#else
    const char *library = "libjpeg";
#endif
    if (!planes_type || !Declined || PyModule_AddObjectRef(module, "Planes", planes_type) ||
        PyModule_AddObjectRef(module, "Declined", Declined) || PyModule_AddStringConstant(module, "library", library) ||
        PyModule_AddIntConstant(module, "BASELINE", BASELINE) || PyModule_AddIntConstant(module, "FAST", FAST) ||
        PyModule_AddIntConstant(module, "SMALL", SMALL)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
