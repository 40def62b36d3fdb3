/* Planes of samples as a progressive JPEG (ITU-T T.81): transform, quantize, code.
 *
 * libjpeg's encoder looks at all coefficients twice for each scan, once to count symbols and once to write them. Here a
 * bit for each coefficient says whether it is zero, and only the others are kept: half of the time. What is decoded is
 * the same to the last bit, since transform and rounding are those of libjpeg's accurate integer method.
 *
 * Only pictures that we resampled ourselves come here; nothing is read from a file.
 */
#include "progressive.h"

enum { SYMBOLS = 256, LONGEST_CODE = 16, LONGEST_RUN = 0x7FFF, MOST_PENDING = 937, ROOM = 8192, FEW = 1024 /* blocks */ };

/* ---- Scans ----------------------------------------------------------------------------------------------------- */

/* A band of one part, from coefficient `first` to `last`, without its `low` lowest bits; `refine`: just the lowest bit,
 * of what a former scan sent without it. */
typedef struct {
    int part, first, last, low, refine;
} Scan;

/* As measured on photographs: docs/performance.md. With all of them a viewer soon shows the whole picture, in colour. */
#define DC {0, 0, 0, 0, 0}, {2, 0, 0, 0, 0}, {1, 0, 0, 0, 0}
#define COLOUR {2, 1, 63, 0, 0}, {1, 1, 63, 0, 0}
static const Scan FAST_SCANS[] = {DC, {0, 1, 5, 0, 0}, COLOUR, {0, 6, 20, 0, 0}, {0, 21, 63, 0, 0}};
static const Scan SMALL_SCANS[] = {DC, {0, 1, 9, 1, 0}, COLOUR, {0, 10, 63, 1, 0}, {0, 1, 63, 0, 1}};
static const Scan GREY_SCANS[] = {{0, 0, 0, 0, 0}, {0, 1, 5, 0, 0}, {0, 6, 20, 0, 0}, {0, 21, 63, 0, 0}};
#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

/* ---- Huffman codes --------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t often;
    int symbol;
} Leaf;

static int rarer(const void *left, const void *right) {
    const Leaf *a = left, *b = right;
    if (a->often != b->often) return a->often < b->often ? -1 : 1;
    return b->symbol - a->symbol;
}

/* Optimal codes of at most 16 bits, none of ones alone: `of_length[i]` of length i, for `symbols` in this order. Two
 * queues in place of T.81's K.2, which looks for the two rarest again and again; its K.3 shortens what is too long. The
 * number of symbols is given. */
static int optimal(const uint32_t often[SYMBOLS], uint8_t of_length[LONGEST_CODE + 1], uint8_t symbols[SYMBOLS]) {
    Leaf leaves[SYMBOLS + 1];
    uint64_t weight[2 * SYMBOLS + 2];
    int parent[2 * SYMBOLS + 2], depth[2 * SYMBOLS + 2], count = 0, lengths[SYMBOLS + 1] = {0};
    leaves[count++] = (Leaf){1, SYMBOLS};  /* stands for the code of ones alone, and comes first of all: one of the longest */
    for (int s = 0; s < SYMBOLS; s++)
        if (often[s]) leaves[count++] = (Leaf){often[s], s};
    qsort(leaves + 1, count - 1, sizeof *leaves, rarer);
    for (int i = 0; i < count; i++) weight[i] = leaves[i].often;
    int leaf = 0, node = count, last = count;
    for (; last < 2 * count - 1; last++) {
        weight[last] = 0;
        for (int turn = 0; turn < 2; turn++) {
            int taken = node >= last || (leaf < count && weight[leaf] <= weight[node]) ? leaf++ : node++;
            weight[last] += weight[taken];
            parent[taken] = last;
        }
    }
    depth[last - 1] = 0;
    for (int i = last - 2; i >= 0; i--) depth[i] = depth[parent[i]] + 1;
    for (int i = 0; i < count; i++) lengths[depth[i]]++;
    for (int i = SYMBOLS; i > LONGEST_CODE; i--)
        while (lengths[i] > 0) {
            int j = i - 2;
            while (lengths[j] == 0) j--;
            lengths[i] -= 2;
            lengths[i - 1]++;
            lengths[j + 1] += 2;
            lengths[j]--;
        }
    int longest = LONGEST_CODE;
    while (lengths[longest] == 0) longest--;
    lengths[longest]--;
    for (int i = 0; i <= LONGEST_CODE; i++) of_length[i] = lengths[i];
    for (int i = 1; i < count; i++) symbols[count - 1 - i] = leaves[i].symbol;  /* the most frequent first */
    return count - 1;
}

/* ---- Writing --------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *data;
    size_t size, room;
    uint32_t often[SYMBOLS];
    uint16_t code[SYMBOLS];
    uint8_t length[SYMBOLS];
    uint64_t chunk[MOST_PENDING + BLOCK_SIZE];
    uint8_t chunk_bits[MOST_PENDING + BLOCK_SIZE];
    Stop *stop;
} Writer;

/* What changes with each symbol, so that it stays in registers: bits that are no whole byte yet, where the next one goes,
 * `run` blocks in which nothing is left to be said, and how many chunks of how many bits refine what was said of them. */
typedef struct {
    uint64_t bits;
    uint8_t *to;
    int held;
    uint32_t run;
    int pending, chunks;
} State;

/* Room for what one block can take at most, and for headers. */
static int has_room(Writer *w) {
    if (w->room - w->size >= ROOM) return 1;
    size_t room = bytes(w->room / 2, 3, ROOM);
    uint8_t *data = realloc(w->data, room);
    if (!data) return 0;
    w->data = data;
    w->room = room;
    return 1;
}

static void put_byte(Writer *w, int byte) { w->data[w->size++] = byte; }

static void put_two(Writer *w, int number) {
    put_byte(w, number >> 8);
    put_byte(w, number & 255);
}

static void put_segment(Writer *w, int marker, int length) {
    put_two(w, 0xFF00 | marker);
    put_two(w, length + 2);
}

/* At most 32 bits. A byte of ones is followed by a zero (T.81, F.1.2.3). */
INLINE void put_bits(State *state, uint64_t bits, int count) {
    state->bits = state->bits << count | bits;
    state->held += count;
    if (state->held < 32) return;
    uint32_t word = state->bits >> (state->held -= 32), swapped = __builtin_bswap32(word);
    if (!((~word - 0x01010101u) & word & 0x80808080u)) {
        memcpy(state->to, &swapped, 4);
        state->to += 4;
        return;
    }
    for (int i = 24; i >= 0; i -= 8) {
        *state->to++ = word >> i;
        if ((word >> i & 255) == 255) *state->to++ = 0;
    }
}

/* Ones up to the end of the byte. */
static void put_rest(State *state) {
    int ones = -state->held & 7;
    put_bits(state, (1u << ones) - 1, ones);
    while (state->held > 0) {
        uint8_t byte = state->bits >> (state->held -= 8);
        *state->to++ = byte;
        if (byte == 255) *state->to++ = 0;
    }
}

INLINE void symbol(Writer *w, State *state, int s, uint32_t bits, int count, const int writing) {
    if (writing)
        put_bits(state, (uint64_t)w->code[s] << count | bits, w->length[s] + count);
    else
        w->often[s]++;
}

INLINE void raw(State *state, uint64_t bits, int count, const int writing) {
    if (!writing) return;
    if (count > 32) {
        put_bits(state, bits >> 32, count - 32);
        bits &= 0xFFFFFFFFu;
        count = 32;
    }
    put_bits(state, bits, count);
}

INLINE int length_of(uint32_t number) { return number ? 32 - __builtin_clz(number) : 0; }

INLINE void end_run(Writer *w, State *state, const int writing) {
    if (!state->run) return;
    int bits = length_of(state->run) - 1;
    symbol(w, state, bits << 4, state->run & ((1u << bits) - 1), bits, writing);
    for (int i = 0; i < state->chunks; i++) raw(state, w->chunk[i], w->chunk_bits[i], writing);
    state->run = state->pending = state->chunks = 0;
}

/* T.81, F.1.2.1: as the difference from the one before. Gives what the next one is compared with. */
INLINE int code_first(Writer *w, State *state, int now, int before, const int writing) {
    int more = now - before, bits = length_of(more < 0 ? -more : more);
    symbol(w, state, bits, (more < 0 ? more - 1 : more) & ((1u << bits) - 1), bits, writing);
    return now;
}

/* How many of a block's values come before coefficient k. */
INLINE int rank(uint64_t some, int k) { return __builtin_popcountll(some & ((1ull << k) - 1)); }

/* T.81, G.1.2.2: a symbol says how many zeros come first and how many bits the next one has. */
INLINE void code_block(Writer *w, State *state, const int16_t *value, uint64_t some, uint64_t left, const Scan *scan,
                       const int writing) {
    if (left) end_run(w, state, writing);
    int before = scan->first - 1;
    for (; left; left &= left - 1) {
        int k = __builtin_ctzll(left), zeros = k - before - 1, now = value[rank(some, k)];
        for (; zeros > 15; zeros -= 16) symbol(w, state, 0xF0, 0, 0, writing);
        uint32_t size = (now < 0 ? -now : now) >> scan->low;
        int bits = length_of(size);
        symbol(w, state, zeros << 4 | bits, now < 0 ? size ^ ((1u << bits) - 1) : size, bits, writing);
        before = k;
    }
    if (before < scan->last && ++state->run == LONGEST_RUN) end_run(w, state, writing);
}

/* T.81, G.1.2.3, for the lowest bit: those that were zero are coded by zeros between them, the others, passed on the
 * way, add their bit behind the symbol. */
INLINE void refine_block(Writer *w, State *state, const int16_t *value, uint64_t some, uint64_t left, uint64_t large,
                         const Scan *scan, const int writing) {
    uint64_t fresh = left & ~large, bits = 0;
    int end = fresh ? 63 - __builtin_clzll(fresh) : 0, passed = 0, count = 0, zeros = 0;
    value += rank(some, scan->first);
    for (int before = scan->first - 1; left; left &= left - 1, value++) {
        int k = __builtin_ctzll(left);
        zeros += k - before - 1;
        before = k;
        for (; zeros > 15 && k <= end; zeros -= 16) {
            end_run(w, state, writing);
            symbol(w, state, 0xF0, 0, 0, writing);
            raw(state, bits, count, writing);
            bits = count = 0;
        }
        if (large >> k & 1) {
            bits = bits << 1 | (*value & 1);  /* of a negative one, too: its lowest bit is its size's */
            count++;
        } else {
            end_run(w, state, writing);
            symbol(w, state, zeros << 4 | 1, *value > 0, 1, writing);
            raw(state, bits, count, writing);
            bits = count = zeros = 0;
        }
        passed = k;
    }
    if ((passed ? passed : scan->first - 1) == scan->last && !zeros && !count) return;
    if (count) {
        w->chunk[state->chunks] = bits;
        w->chunk_bits[state->chunks++] = count;
        state->pending += count;
    }
    if (++state->run == LONGEST_RUN || state->pending > MOST_PENDING) end_run(w, state, writing);
}

/* 0 without memory, or when told to stop. */
INLINE int code_scan(Writer *w, const Part *part, const Scan *scan, const int writing) {
    State now = {.to = w->data + w->size}, *state = &now;
    uint64_t band = ((2ull << (scan->last - scan->first)) - 1) << scan->first;
    const int16_t *value = part->value;
    int before = 0;
    for (size_t i = 0; i < part->blocks; i++) {
        uint64_t some = part->some[i], large = part->large[i];
        if (i % FEW == 0 && stopped(w->stop)) return 0;
        if (writing && w->data + w->room - now.to < ROOM) {
            w->size = now.to - w->data;
            if (!has_room(w)) return 0;
            now.to = w->data + w->size;
        }
        if (scan->first == 0)
            before = code_first(w, state, part->mean[i], before, writing);
        else if (scan->refine)
            refine_block(w, state, value, some, some & band, large, scan, writing);
        else
            code_block(w, state, value, some, (scan->low ? large : some) & band, scan, writing);
        value += __builtin_popcountll(some);
    }
    end_run(w, state, writing);
    if (writing) put_rest(state);
    w->size = now.to - w->data;
    return 1;
}

typedef int CodeScan(Writer *w, const Part *part, const Scan *scan);

static int count_plain(Writer *w, const Part *part, const Scan *scan) { return code_scan(w, part, scan, 0); }
static int write_plain(Writer *w, const Part *part, const Scan *scan) { return code_scan(w, part, scan, 1); }
static CodeScan *count_scan = count_plain, *write_scan = write_plain;

#ifdef MODERN
MODERN static int count_modern(Writer *w, const Part *part, const Scan *scan) { return code_scan(w, part, scan, 0); }
MODERN static int write_modern(Writer *w, const Part *part, const Scan *scan) { return code_scan(w, part, scan, 1); }

void progressive_prepare(void) {
    fdct_prepare();
    if (!is_modern()) return;
    count_scan = count_modern;
    write_scan = write_modern;
}
#else
void progressive_prepare(void) { fdct_prepare(); }
#endif

/* The codes for what a scan was seen to need, and their segment (T.81, B.2.4.2 and C.2). */
static void put_codes(Writer *w, int kind) {
    uint8_t of_length[LONGEST_CODE + 1], symbols[SYMBOLS];
    int count = optimal(w->often, of_length, symbols), code = 0, next = 0;
    put_segment(w, 0xC4, 1 + LONGEST_CODE + count);
    put_byte(w, kind << 4);
    for (int length = 1; length <= LONGEST_CODE; length++, code <<= 1) {
        put_byte(w, of_length[length]);
        for (int i = 0; i < of_length[length]; i++, code++, next++) {
            w->code[symbols[next]] = code;
            w->length[symbols[next]] = length;
        }
    }
    memcpy(w->data + w->size, symbols, count);
    w->size += count;
}

static int put_scan(Writer *w, const Part *parts, const Scan *scan) {
    const Part *part = &parts[scan->part];
    memset(w->often, 0, sizeof w->often);
    if (!count_scan(w, part, scan) || !has_room(w)) return 0;
    put_codes(w, scan->first != 0);
    put_segment(w, 0xDA, 6);
    put_byte(w, 1);
    put_byte(w, scan->part + 1);
    put_byte(w, 0);
    put_byte(w, scan->first);
    put_byte(w, scan->last);
    put_byte(w, (scan->refine ? scan->low + 1 : 0) << 4 | scan->low);
    return write_scan(w, part, scan) && has_room(w);
}

/* What comes before the scans: T.81, B.2, and the JFIF segment (T.871). */
static void put_head(Writer *w, int count, int width, int height, uint16_t table[2][BLOCK_SIZE]) {
    static const uint8_t JFIF[] = {'J', 'F', 'I', 'F', 0, 1, 1, 0, 0, 1, 0, 1, 0, 0};
    put_two(w, 0xFFD8);
    put_segment(w, 0xE0, sizeof JFIF);
    for (size_t i = 0; i < sizeof JFIF; i++) put_byte(w, JFIF[i]);
    for (int t = 0; t < (count == 1 ? 1 : 2); t++) {
        put_segment(w, 0xDB, 1 + BLOCK_SIZE);
        put_byte(w, t);
        for (int i = 0; i < BLOCK_SIZE; i++) w->data[w->size + ZIGZAG[i]] = table[t][i];
        w->size += BLOCK_SIZE;
    }
    put_segment(w, 0xC2, 6 + 3 * count);
    put_byte(w, 8);
    put_two(w, height);
    put_two(w, width);
    put_byte(w, count);
    for (int i = 0; i < count; i++) {
        put_byte(w, i + 1);
        put_byte(w, i == 0 && count == 3 ? 0x22 : 0x11);
        put_byte(w, i > 0);
    }
}

int progressive_write(const Samples *samples, int count, int width, int height, uint16_t table[2][64], int scans,
                      uint8_t **out, size_t *size, Stop *stop) {
    const Scan *list = count == 1 ? GREY_SCANS : scans == FAST ? FAST_SCANS : SMALL_SCANS;
    int many = count == 1 ? COUNT(GREY_SCANS) : scans == FAST ? COUNT(FAST_SCANS) : COUNT(SMALL_SCANS);
    Part parts[3] = {0};
    Writer *w = calloc(1, sizeof *w);
    if (w) w->stop = stop;
    int good = w != NULL && has_room(w);
    for (int i = 0; good && i < count; i++) good = part_new(&parts[i], &samples[i], table[i > 0], stop);
    if (good) put_head(w, count, width, height, table);
    for (int i = 0; good && i < many; i++) good = put_scan(w, parts, &list[i]);
    if (good) {
        put_two(w, 0xFFD9);
        *out = w->data;
        *size = w->size;
    } else if (w)
        free(w->data);
    free(w);
    for (int i = 0; i < count; i++) part_free(&parts[i]);
    return good;
}
