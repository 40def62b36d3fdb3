/* Planes of samples as a progressive JPEG (ITU-T T.81): transform, quantize, code.
 *
 * libjpeg's encoder looks at all coefficients twice for each scan, once to count symbols and once to write them. Here a
 * bit for each coefficient says whether it is zero, and only the others are kept: half of the time. What is decoded is
 * the same to the last bit, since transform and rounding are those of libjpeg's accurate integer method.
 *
 * Only pictures that we resampled ourselves come here; nothing is read from a file.
 */
#include "progressive.h"

#include <stdlib.h>
#include <string.h>

#include "block.h"

enum { SYMBOLS = 256, LONGEST_CODE = 16, LONGEST_RUN = 0x7FFF, MOST_PENDING = 937, ROOM = 8192 };

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

/* ---- Transform and quantization -------------------------------------------------------------------------------- */

typedef int32_t Eight __attribute__((vector_size(32)));
typedef float Eighths __attribute__((vector_size(32)));
typedef int16_t EightShorts __attribute__((vector_size(16)));

#define PICK(a, b, ...) __builtin_shuffle(a, b, (Eight){__VA_ARGS__})

/* Rows become columns. */
INLINE void turn(Eight v[8]) {
    Eight a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = PICK(v[2 * i], v[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[2 * i + 1] = PICK(v[2 * i], v[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = PICK(a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            b[i + 2 * j + 1] = PICK(a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        v[i] = PICK(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        v[i + 4] = PICK(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

/* One dimension of the transform of Loeffler, Ligtenberg and Moschytz (1989), with 13 bits behind the point: to the last
 * bit what libjpeg's JDCT_ISLOW gives. The first of two keeps 2 more bits, which the second takes away. */
INLINE void transform(Eight v[8], const int second) {
    const int down = second ? 15 : 11;
#define ROUNDED(x, bits) (((x) + (1 << ((bits) - 1))) >> (bits))
    Eight s0 = v[0] + v[7], s1 = v[1] + v[6], s2 = v[2] + v[5], s3 = v[3] + v[4];
    Eight d0 = v[0] - v[7], d1 = v[1] - v[6], d2 = v[2] - v[5], d3 = v[3] - v[4];
    Eight even = s0 + s3, odd = s1 + s2, a = s0 - s3, b = s1 - s2, turned = (a + b) * 4433;
    v[0] = second ? ROUNDED(even + odd, 2) : (even + odd) * 4;
    v[4] = second ? ROUNDED(even - odd, 2) : (even - odd) * 4;
    v[2] = ROUNDED(turned + a * 6270, down);
    v[6] = ROUNDED(turned - b * 15137, down);
    Eight z1 = (d3 + d0) * -7373, z2 = (d2 + d1) * -20995, z3 = d3 + d1, z4 = d2 + d0, z5 = (z3 + z4) * 9633;
    z3 = z3 * -16069 + z5;
    z4 = z4 * -3196 + z5;
    v[7] = ROUNDED(d3 * 2446 + z1 + z3, down);
    v[5] = ROUNDED(d2 * 16819 + z2 + z4, down);
    v[3] = ROUNDED(d1 * 25172 + z2 + z3, down);
    v[1] = ROUNDED(d0 * 12299 + z1 + z4, down);
}

/* How to divide by one entry of a quantization table, times eight as the transform scales: add `half` and take `inverse`
 * times. That is a little more than the inverse, so that no quotient of whole numbers below 2^15 falls short of a whole
 * one by rounding, and too little to reach the next. */
typedef struct {
    float inverse[BLOCK_SIZE];
    int16_t half[BLOCK_SIZE];
} Divisor;

/* Coefficients of two blocks side by side, each in natural order. */
static void quantize_plain(const uint8_t *from, size_t stride, const Divisor *divisor, int16_t *to) {
    for (int block = 0; block < 2; block++, from += 8, to += BLOCK_SIZE) {
        Eight v[8];
        for (int y = 0; y < 8; y++)
            for (int x = 0; x < 8; x++) v[y][x] = from[y * stride + x] - 128;
        turn(v);
        transform(v, 0);
        turn(v);
        transform(v, 1);
        for (int y = 0; y < 8; y++) {
            Eighths inverse;
            EightShorts half;
            memcpy(&inverse, divisor->inverse + 8 * y, sizeof inverse);
            memcpy(&half, divisor->half + 8 * y, sizeof half);
            Eight sign = v[y] >> 31, size = ((v[y] ^ sign) - sign) + __builtin_convertvector(half, Eight);
            Eight whole = __builtin_convertvector(__builtin_convertvector(size, Eighths) * inverse, Eight);
            EightShorts row = __builtin_convertvector((whole ^ sign) - sign, EightShorts);
            memcpy(to + 8 * y, &row, sizeof row);
        }
    }
}

#ifdef MODERN
/* The same for the processors of today, by products of 16-bit pairs: a third of the time. */
/* As `transform`, the products of each sum gathered: p * (a + b) + q * a is (p + q) * a + p * b. */
MODERN_INLINE void transform_both(__m256i v[8], const int second) {
    const int down = second ? 15 : 11;
    __m256i s[4], d[4];
    for (int i = 0; i < 4; i++) {
        s[i] = _mm256_add_epi16(v[i], v[7 - i]);
        d[i] = _mm256_sub_epi16(v[i], v[7 - i]);
    }
    __m256i even = _mm256_add_epi16(s[0], s[3]), odd = _mm256_add_epi16(s[1], s[2]);
    __m256i a = _mm256_sub_epi16(s[0], s[3]), b = _mm256_sub_epi16(s[1], s[2]);
    __m256i sum = _mm256_add_epi16(even, odd), difference = _mm256_sub_epi16(even, odd), two = _mm256_set1_epi16(2);
    v[0] = second ? _mm256_srai_epi16(_mm256_add_epi16(sum, two), 2) : _mm256_slli_epi16(sum, 2);
    v[4] = second ? _mm256_srai_epi16(_mm256_add_epi16(difference, two), 2) : _mm256_slli_epi16(difference, 2);
    const Sums none = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    v[2] = rounded(sums(a, b, 4433 + 6270, 4433), none, down);
    v[6] = rounded(sums(a, b, 4433, 4433 - 15137), none, down);
    __m256i z3 = _mm256_add_epi16(d[3], d[1]), z4 = _mm256_add_epi16(d[2], d[0]);
    Sums left = sums(z3, z4, 9633 - 16069, 9633), right = sums(z3, z4, 9633, 9633 - 3196);
    v[7] = rounded(sums(d[3], d[0], 2446 - 7373, -7373), left, down);
    v[5] = rounded(sums(d[2], d[1], 16819 - 20995, -20995), right, down);
    v[3] = rounded(sums(d[1], d[2], 25172 - 20995, -20995), left, down);
    v[1] = rounded(sums(d[0], d[3], 12299 - 7373, -7373), right, down);
}

MODERN_INLINE __m256i divided(__m128i size, const float *inverse) {
    __m256 quotient = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(size)), _mm256_loadu_ps(inverse));
    return _mm256_cvttps_epi32(quotient);
}

MODERN_INLINE void quantize_modern(const uint8_t *from, size_t stride, const Divisor *divisor, int16_t *to) {
    __m256i v[8];
    for (int y = 0; y < 8; y++) {
        __m256i row = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(from + y * stride)));
        v[y] = _mm256_sub_epi16(row, _mm256_set1_epi16(128));
    }
    turn_both(v);
    transform_both(v, 0);
    turn_both(v);
    transform_both(v, 1);
    for (int y = 0; y < 8; y++) {
        __m128i half = _mm_loadu_si128((const __m128i *)(divisor->half + 8 * y));
        __m256i size = _mm256_add_epi16(_mm256_abs_epi16(v[y]), _mm256_broadcastsi128_si256(half));
        __m256i first = divided(_mm256_castsi256_si128(size), divisor->inverse + 8 * y);
        __m256i next = divided(_mm256_extracti128_si256(size, 1), divisor->inverse + 8 * y);
        /* packs works by halves: first's and next's low ones, then their high ones */
        __m256i whole = _mm256_permute4x64_epi64(_mm256_packs_epi32(first, next), 0xD8);
        whole = _mm256_sign_epi16(whole, v[y]);
        _mm_storeu_si128((__m128i *)(to + 8 * y), _mm256_castsi256_si128(whole));
        _mm_storeu_si128((__m128i *)(to + BLOCK_SIZE + 8 * y), _mm256_extracti128_si256(whole, 1));
    }
}
#endif

/* ---- Coefficients ---------------------------------------------------------------------------------------------- */

/* The blocks of one part, row by row. Bit k of `some` says that coefficient k (in zigzag order) of a block is not zero, of
 * `large` that it is more than 1 or less than -1. `value` holds those that are not zero, of all blocks one behind another:
 * a photo's are a fifth, and each scan goes through memory twice. The first of a block stands in `mean`. */
typedef struct {
    size_t blocks;
    int16_t *mean, *value;
    uint64_t *some, *large;
} Part;

static void part_free(Part *part) {
    free(part->mean);
    free(part->value);
    free(part->some);
    free(part->large);
}

/* Appends one block; gives where the next one's values go. */
INLINE int16_t *collect(const int16_t *natural, int16_t *mean, int16_t *to, uint64_t *some, uint64_t *large) {
    int16_t value[BLOCK_SIZE];
    uint64_t any = 0, more = 0;
    for (int i = 0; i < BLOCK_SIZE; i += 4) {
        uint64_t four;
        memcpy(&four, natural + i, sizeof four);
        if (!four) continue;
        for (int j = i; j < i + 4; j++) {
            int k = ZIGZAG[j];
            value[k] = natural[j];
            any |= (uint64_t)(natural[j] != 0) << k;
            more |= (uint64_t)(natural[j] > 1 || natural[j] < -1) << k;
        }
    }
    *mean = natural[0];
    *some = any &= ~1ull;
    *large = more & ~1ull;
    for (; any; any &= any - 1) *to++ = value[__builtin_ctzll(any)];
    return to;
}

typedef void Quantize(const uint8_t *from, size_t stride, const Divisor *divisor, int16_t *to);

/* `quantize` gives two blocks that lie side by side: there is memory for the second, also where it is none of ours. */
INLINE void part_fill(Part *part, const Samples *samples, const Divisor *divisor, Quantize *quantize) {
    size_t wide = (samples->width + 7) / 8, high = (samples->height + 7) / 8;
    int16_t *to = part->value, two[2 * BLOCK_SIZE];
    for (size_t y = 0, i = 0; y < high; y++)
        for (size_t x = 0; x < wide; x++, i++) {
            if (x % 2 == 0) quantize(samples->data + 8 * (y * samples->stride + x), samples->stride, divisor, two);
            to = collect(two + x % 2 * BLOCK_SIZE, &part->mean[i], to, &part->some[i], &part->large[i]);
        }
}

static void fill_plain(Part *part, const Samples *samples, const Divisor *divisor) {
    part_fill(part, samples, divisor, quantize_plain);
}
static void (*fill)(Part *, const Samples *, const Divisor *) = fill_plain;
#ifdef MODERN
MODERN static void fill_modern(Part *part, const Samples *samples, const Divisor *divisor) {
    part_fill(part, samples, divisor, quantize_modern);
}
#endif

static int part_new(Part *part, const Samples *samples, const uint16_t *table) {
    Divisor divisor;
    for (int i = 0; i < BLOCK_SIZE; i++) {
        divisor.inverse[i] = (1 + 1.0 / (1 << 20)) / (8 * table[i]);
        divisor.half[i] = 4 * table[i];
    }
    part->blocks = (size_t)((samples->width + 7) / 8) * ((samples->height + 7) / 8);
    part->mean = malloc(part->blocks * sizeof *part->mean);
    part->value = malloc(part->blocks * BLOCK_SIZE * sizeof *part->value);  /* what is not used is never touched */
    part->some = malloc(part->blocks * sizeof *part->some);
    part->large = malloc(part->blocks * sizeof *part->large);
    if (!part->mean || !part->value || !part->some || !part->large) return 0;
    fill(part, samples, &divisor);
    return 1;
}

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
    size_t room = w->room + w->room / 2 + ROOM;
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

INLINE int code_scan(Writer *w, const Part *part, const Scan *scan, const int writing) {
    State now = {.to = w->data + w->size}, *state = &now;
    uint64_t band = ((2ull << (scan->last - scan->first)) - 1) << scan->first;
    const int16_t *value = part->value;
    int before = 0;
    for (size_t i = 0; i < part->blocks; i++) {
        uint64_t some = part->some[i], large = part->large[i];
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
    if (!is_modern()) return;
    fill = fill_modern;
    count_scan = count_modern;
    write_scan = write_modern;
}
#else
void progressive_prepare(void) {}
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
    count_scan(w, part, scan);
    if (!has_room(w)) return 0;
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
                      uint8_t **out, size_t *size) {
    const Scan *list = count == 1 ? GREY_SCANS : scans == FAST ? FAST_SCANS : SMALL_SCANS;
    int many = count == 1 ? COUNT(GREY_SCANS) : scans == FAST ? COUNT(FAST_SCANS) : COUNT(SMALL_SCANS);
    Part parts[3] = {0};
    Writer *w = calloc(1, sizeof *w);
    int good = w != NULL && has_room(w);
    for (int i = 0; good && i < count; i++) good = part_new(&parts[i], &samples[i], table[i > 0]);
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
