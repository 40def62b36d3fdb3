/* The bridge to libjpeg-turbo: whole JPEGs to planes and back. It reads headers and what baseline.c does not take, and writes
 * what has one scan. Nothing else of the core knows it.
 *
 * Sources are hostile. Whatever is unusual (inks, other sampling, 12 bits, arithmetic coding) or makes libjpeg warn is
 * declined. The caller has checked the size; it is checked again.
 */
#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>
#include <jerror.h>

#include "baseline.h"
#include "planes.h"
#include "progressive.h"
#include "scans.h"

/* Bytes must not depend on who has built it, and others than libjpeg-turbo are not tried. */
#ifndef LIBJPEG_TURBO_VERSION_NUMBER
#error "hotfolder's core needs libjpeg-turbo, and this jpeglib.h is another libjpeg's: apt install libjpeg-dev, or brew install jpeg-turbo"
#endif

#if JPEG_LIB_VERSION >= 70
#define DCT_SIZE(part) ((part)->DCT_h_scaled_size)
#define ROWS_AT_ONCE(c) ((c)->max_v_samp_factor * (c)->min_DCT_v_scaled_size)
#else
#define DCT_SIZE(part) ((part)->DCT_scaled_size)
#define ROWS_AT_ONCE(c) ((c)->max_v_samp_factor * (c)->min_DCT_scaled_size)
#endif

enum { MOST_ROWS = 16, FIRST_ROOM = 65536 };
_Static_assert(LARGEST_SIDE == JPEG_MAX_DIMENSION, "libjpeg has another limit");
_Static_assert(sizeof ((Failure *)0)->text == JMSG_LENGTH_MAX, "libjpeg's messages are longer");

/* ---- libjpeg's errors ---------------------------------------------------------------------------------------- */

typedef struct {
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    Stop *stop;
    Failure *failure;
} Errors;

static void give_up(j_common_ptr c) {
    Errors *errors = (Errors *)c->err;
    errors->failure->memory = errors->manager.msg_code == JERR_OUT_OF_MEMORY;
    errors->manager.format_message(c, errors->failure->text);
    longjmp(errors->back, 1);
}

static void on_message(j_common_ptr c, int level) {
    if (level < 0) give_up(c);  /* a warning: the data is damaged */
}

/* libjpeg asks here before each row of blocks, also while it reads or counts what it will write later. */
static void on_progress(j_common_ptr c) {
    Errors *errors = (Errors *)c->err;
    if (stopped(errors->stop)) longjmp(errors->back, 1);
}

static struct jpeg_error_mgr *errors_new(Errors *errors, Stop *stop, Failure *failure) {
    jpeg_std_error(&errors->manager);
    errors->manager.error_exit = give_up;
    errors->manager.emit_message = on_message;
    errors->progress.progress_monitor = on_progress;
    errors->stop = stop;
    errors->failure = failure;
    failure->memory = 0;
    return &errors->manager;
}

static int decline(Failure *failure, const char *why) {
    snprintf(failure->text, sizeof failure->text, "%s", why);
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
        size_t wide = bytes(up(part->width_in_blocks, part->h_samp_factor), DCT_SIZE(part), 0);
        size_t high = bytes(bytes(part->v_samp_factor, DCT_SIZE(part), 0), c->total_iMCU_rows, 0);
        if (!plane_new(plane, wide, high)) return 0;
        plane->width = part->downsampled_width;
        plane->height = part->downsampled_height;
        plane->across = (double)part->h_samp_factor * DCT_SIZE(part) / (c->max_h_samp_factor * DCTSIZE);
        plane->down = (double)part->v_samp_factor * DCT_SIZE(part) / (c->max_v_samp_factor * DCTSIZE);
    }
    return 1;
}

/* Lets baseline.c read the scan, where it is one for it. 0: libjpeg must, from where it is; it has not been moved. */
static int decode_baseline(Planes *planes, const struct jpeg_decompress_struct *c, Stop *stop) {
    if (c->progressive_mode || c->comps_in_scan != c->num_components || c->Ss || c->Se != DCTSIZE2 - 1 || c->Ah || c->Al)
        return 0;
    const int single = c->num_components == 1;  /* then a unit is a block, whatever the sampling (T.81, A.2.2) */
    const jpeg_component_info *first = &c->comp_info[0];
    Baseline what = {
        .count = c->num_components, .restart = c->restart_interval,
        .units_across = (int)(single ? first->width_in_blocks : up(first->width_in_blocks, first->h_samp_factor) / first->h_samp_factor),
        .units_down = (int)(single ? first->height_in_blocks : c->total_iMCU_rows),
        .data = c->src->next_input_byte, .size = c->src->bytes_in_buffer, .stop = stop,
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

static Codes codes_of(const JHUFF_TBL *table) { return table ? (Codes){table->bits, table->huffval} : (Codes){0}; }

/* Lets scans.c read a progressive picture. 0: libjpeg must, from where it is; it has not been moved. */
static int decode_scans(Planes *planes, const struct jpeg_decompress_struct *c, Stop *stop) {
    enum { START_OF_SCAN = 0xDA };
    const size_t header = 8 + 2 * (size_t)c->comps_in_scan;
    const uint8_t *first = c->src->next_input_byte - header;
    if (!c->progressive_mode || first[0] != 0xFF || first[1] != START_OF_SCAN) return 0;
    const int single = c->num_components == 1;
    const jpeg_component_info *part = c->comp_info;
    Scans what = {
        .count = c->num_components, .restart = c->restart_interval,
        .units_across = (int)(single ? part->width_in_blocks : up(part->width_in_blocks, part->h_samp_factor) / part->h_samp_factor),
        .units_down = (int)(single ? part->height_in_blocks : c->total_iMCU_rows),
        .data = first, .size = c->src->bytes_in_buffer + header, .stop = stop,
    };
    for (int i = 0; i < TABLES; i++) what.means[i] = codes_of(c->dc_huff_tbl_ptrs[i]), what.waves[i] = codes_of(c->ac_huff_tbl_ptrs[i]);
    for (int i = 0; i < what.count; i++, part++) {
        int size = DCT_SIZE(part);
        if (part->quant_tbl_no < 0 || part->quant_tbl_no >= NUM_QUANT_TBLS || !c->quant_tbl_ptrs[part->quant_tbl_no] ||
            (size != 8 && size != 4 && size != 2 && size != 1))
            return 0;
        what.part[i] = (ScanPart){
            part->component_id, single ? 1 : part->h_samp_factor, single ? 1 : part->v_samp_factor, (int)part->width_in_blocks,
            (int)part->height_in_blocks, size, planes->plane[i].stride, planes->plane[i].data, c->quant_tbl_ptrs[part->quant_tbl_no]->quantval,
        };
    }
    return scans_read(&what);
}

/* All that baseline.c and scans.c do not read. */
static void decode_rest(Planes *planes, struct jpeg_decompress_struct *c) {
    jpeg_start_decompress(c);
    size_t step[3];
    for (int i = 0; i < planes->count; i++) step[i] = (size_t)c->comp_info[i].v_samp_factor * DCT_SIZE(&c->comp_info[i]);
    JSAMPROW rows[3][MOST_ROWS];
    JSAMPARRAY parts[3] = {rows[0], rows[1], rows[2]};
    for (size_t band = 0; c->output_scanline < c->output_height; band++) {
        for (int i = 0; i < planes->count; i++)
            for (size_t y = 0; y < step[i]; y++)
                rows[i][y] = planes->plane[i].data + (band * step[i] + y) * planes->plane[i].stride;
        jpeg_read_raw_data(c, parts, ROWS_AT_ONCE(c));
    }
    jpeg_finish_decompress(c);
}

int planes_decode(Planes *planes, const uint8_t *data, size_t size, int denominator, Stop *stop,
                  Failure *failure) {
    struct jpeg_decompress_struct c;
    Errors errors;
    c.err = errors_new(&errors, stop, failure);
    if (setjmp(errors.back)) {
        jpeg_destroy_decompress(&c);
        return 0;
    }
    jpeg_create_decompress(&c);
    c.progress = &errors.progress;
    jpeg_mem_src(&c, (unsigned char *)data, size);
    jpeg_read_header(&c, TRUE);
    const char *why = unusual(&c);
    if ((int)c.image_width != planes->width || (int)c.image_height != planes->height) why = "another size than was told";
    if (why) {
        jpeg_destroy_decompress(&c);
        return decline(failure, why);
    }
    c.scale_num = 1;
    c.scale_denom = denominator;
    c.out_color_space = c.jpeg_color_space;
    c.raw_data_out = TRUE;
    c.dct_method = JDCT_ISLOW;
    jpeg_calc_output_dimensions(&c);
    if (!planes_room(planes, &c)) ERREXIT1(&c, JERR_OUT_OF_MEMORY, 0);
    planes->direct = decode_baseline(planes, &c, stop) || decode_scans(planes, &c, stop);
    if (!planes->direct) {
        on_progress((j_common_ptr)&c);
        decode_rest(planes, &c);
    }
    jpeg_destroy_decompress(&c);
    for (int i = 0; i < planes->count; i++) plane_pad(&planes->plane[i]);
    return 1;
}

/* ---- Encoding ------------------------------------------------------------------------------------------------ */

/* Where libjpeg writes to: memory that is the caller's from the first byte on, whatever happens. jpeg_mem_dest tells where
 * its memory lies only when all went well, and takes some as soon as it is named. */
typedef struct {
    struct jpeg_destination_mgr manager;
    uint8_t **data;
    size_t *size, room;
} Output;

static boolean output_grow(j_compress_ptr c) {
    Output *out = (Output *)c->dest;
    size_t room = out->room ? bytes(out->room, 2, 0) : FIRST_ROOM;
    uint8_t *data = realloc(*out->data, room);
    if (!data) ERREXIT1(c, JERR_OUT_OF_MEMORY, 1);
    out->manager.next_output_byte = data + out->room;  /* libjpeg asks when all is full */
    out->manager.free_in_buffer = room - out->room;
    *out->data = data;
    out->room = room;
    return TRUE;
}

static void output_start(j_compress_ptr c) { output_grow(c); }

static void output_end(j_compress_ptr c) {
    Output *out = (Output *)c->dest;
    *out->size = out->room - out->manager.free_in_buffer;
}

static int encode_progressive(const Planes *planes, uint16_t table[2][DCTSIZE2], int scans, uint8_t **data, size_t *size,
                              Stop *stop) {
    Samples samples[3];
    for (int i = 0; i < planes->count; i++) {
        const Plane *plane = &planes->plane[i];
        samples[i] = (Samples){plane->width, plane->height, plane->stride, plane->data};
    }
    return progressive_write(samples, planes->count, planes->width, planes->height, table, scans, data, size, stop);
}

/* By libjpeg, in one scan, at the quality that `c` has been given. */
static void encode_baseline(const Planes *planes, struct jpeg_compress_struct *c) {
    c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor = planes->count == 3 ? 2 : 1;
    c->raw_data_in = TRUE;
    c->optimize_coding = TRUE;
    c->dct_method = JDCT_ISLOW;
    jpeg_start_compress(c, TRUE);
    JSAMPROW rows[3][MOST_ROWS];
    JSAMPARRAY parts[3] = {rows[0], rows[1], rows[2]};
    int step = c->max_v_samp_factor * DCTSIZE;
    while (c->next_scanline < c->image_height) {
        for (int i = 0; i < planes->count; i++) {
            const Plane *plane = &planes->plane[i];
            int high = i ? DCTSIZE : step;
            size_t top = (size_t)c->next_scanline / step * high;
            for (int y = 0; y < high; y++) rows[i][y] = plane->data + (top + y) * plane->stride;
        }
        jpeg_write_raw_data(c, parts, step);
    }
    jpeg_finish_compress(c);
}

/* libjpeg writes what has a single scan, and says what a quality means. */
int planes_encode(const Planes *planes, int quality, const uint8_t *tables, int scans, uint8_t **data, size_t *size,
                  Stop *stop, Failure *failure) {
    struct jpeg_compress_struct c;
    Errors errors;
    Output out = {.data = data, .size = size};
    c.err = errors_new(&errors, stop, failure);
    if (setjmp(errors.back)) {
        jpeg_destroy_compress(&c);
        return 0;
    }
    jpeg_create_compress(&c);
    c.progress = &errors.progress;
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
        failure->memory = 1;  /* all else that can fail */
        return encode_progressive(planes, table, scans, data, size, stop);
    }
    out.manager = (struct jpeg_destination_mgr){NULL, 0, output_start, output_grow, output_end};
    c.dest = &out.manager;
    encode_baseline(planes, &c);
    jpeg_destroy_compress(&c);
    return 1;
}

const char *jpeg_library(void) {
#define TEXT(x) #x
#define QUOTED(x) TEXT(x)
    return "libjpeg-turbo " QUOTED(LIBJPEG_TURBO_VERSION);
}
