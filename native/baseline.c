/* The only scan of a baseline JPEG (ITU-T T.81) as samples, at 1/1, 1/2, 1/4 or 1/8.
 *
 * Most of the time of a thumbnail is its source's Huffman codes. libjpeg reads a code, then the bits that it announces;
 * here one look at the next bits mostly gives both. Samples are those of libjpeg's accurate integer method, to the last
 * bit, also at the smaller scales.
 *
 * Files are hostile. Reading never passes a unit's longest possible length without looking; what is damaged or unusual is
 * given back, and libjpeg, which begins anew, says what is wrong. libjpeg has read the header, and so the tables.
 */
#include "baseline.h"

#include <stdlib.h>
#include <string.h>

#include "block.h"

enum {
    LONGEST_CODE = 16, MOST_BITS = 15, LONGEST_RUN = 16, MOST_PARTS = 3, MOST_BLOCKS = 6,
    LOOK = 10,       /* bits that one look is for */
    BATCH = 8,       /* units whose coefficients are kept, so few that they stay in the nearest cache */
    UNIT_BYTES = 2048,
    ROOM = 16384,
    END_OF_BLOCK = 128,
};
_Static_assert(MOST_BLOCKS * BLOCK_SIZE * (LONGEST_CODE + MOST_BITS) / 8 + 16 <= UNIT_BYTES, "a unit may be longer");

/* ZIGZAG the other way round: where the k-th coefficient of a block stands in natural order. Behind the last, for
 * runs that lead out of the block: somewhere in it. */
static uint8_t natural[BLOCK_SIZE + END_OF_BLOCK + 1];

static void natural_fill(void) {
    memset(natural, BLOCK_SIZE - 1, sizeof natural);
    for (int i = 0; i < BLOCK_SIZE; i++) natural[ZIGZAG[i]] = (uint8_t)i;
}

/* ---- Bits ------------------------------------------------------------------------------------------------------ */

/* The next bits of the data between two markers: `count` of them stand at the top of `bits`, those behind are in
 * `room` from `at` on, without the zeros that keep data from looking like markers. What is behind the end is 0. */
typedef struct {
    uint64_t bits;
    int count, ended; /* ended: a marker, or the end of the file, follows what is in `room` */
    size_t at, filled;
    const uint8_t *next, *end; /* of the file */
    uint8_t room[ROOM + UNIT_BYTES];
} Bits;

static void bits_start(Bits *b) {
    b->bits = 0;
    b->count = b->ended = 0;
    b->at = b->filled = 0;
}

static void bits_more(Bits *b) {
    memmove(b->room, b->room + b->at, b->filled - b->at);
    b->filled -= b->at;
    b->at = 0;
    while (b->filled < ROOM && !b->ended) {
        size_t most = ROOM - b->filled, left = b->end - b->next;
        if (most > left) most = left;
        const uint8_t *mark = most ? memchr(b->next, 0xFF, most) : NULL;
        size_t plain = mark ? (size_t)(mark - b->next) : most;
        memcpy(b->room + b->filled, b->next, plain);
        b->filled += plain;
        b->next += plain;
        if (mark && b->end - mark > 1 && mark[1] == 0) {
            b->room[b->filled++] = 0xFF;
            b->next += 2;
        } else if (mark || b->next == b->end) {
            b->ended = 1;
        }
    }
    memset(b->room + b->filled, 0, b->ended ? UNIT_BYTES : 0);
}

/* How many bits are left of what is there; negative where more were taken. */
static long bits_left(const Bits *b) { return 8 * ((long)b->filled - (long)b->at) + b->count; }

/* Whether the data ends here, but for what fills the last byte, and the marker `code` follows, which is passed. */
static int bits_end(Bits *b, int code) {
    if (!b->ended) bits_more(b);
    if (!b->ended || bits_left(b) < 0 || bits_left(b) > 7) return 0;
    if (b->end - b->next < 2 || b->next[0] != 0xFF || b->next[1] != code) return 0;
    b->next += 2;
    return 1;
}

/* At least 56 bits from here on. */
#define REFILL()                                                                                                       \
    do {                                                                                                               \
        uint64_t eight;                                                                                                \
        memcpy(&eight, room + at, sizeof eight);                                                                       \
        bits |= BIG_ENDIAN_64(eight) >> count;                                                                         \
        at += (63 - count) >> 3;                                                                                       \
        count |= 56;                                                                                                   \
    } while (0)
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BIG_ENDIAN_64(x) __builtin_bswap64(x)
#else
#define BIG_ENDIAN_64(x) (x)
#endif

/* ---- Huffman codes --------------------------------------------------------------------------------------------- */

/* What a symbol says: the size of the value that follows in bits, and the run of zeros before it. */
typedef struct {
    uint8_t length, size, run; /* length: of the code; 0 where there is no code, or LOOK bits do not tell */
} Symbol;

/* What the next LOOK bits tell: a symbol, whose value follows, and the one behind it where they tell that wholly. `length` is
 * that of all codes and values; the first value goes `run` places on, the second, of `value`, `place`, and the next is to be
 * looked for `next` places from here. */
typedef struct {
    Symbol first;
    uint8_t length, place, next;
    int16_t value;
} Look;

typedef struct {
    Look look[1 << LOOK];
    int32_t behind[LONGEST_CODE + 1]; /* the code behind the last one of each length */
    int32_t shift[LONGEST_CODE + 1];  /* from a code of this length to the place of its symbol */
    uint8_t symbol[256];
} Table;

static Symbol symbol_of(int code, int length) {
    int size = code & 15, run = code >> 4;
    return (Symbol){(uint8_t)length, (uint8_t)size, (uint8_t)(size || run == 15 ? run : END_OF_BLOCK)};
}

/* T.81, figure F.12: what the first `size` bits mean; without a branch, since which it is cannot be foreseen. */
INLINE int value_of(uint64_t bits, int size) {
    int64_t below = ~((int64_t)bits >> 63); /* all ones where the first bit is 0 */
    return (int)((int64_t)(bits >> 1 >> (63 - size)) - (below & ((1ll << size) - 1)));
}

/* Adds the second symbol. Where that is none, or the end of the block, a 0 goes to the place that is next. */
static void look_further(Table *table, uint32_t bits) {
    Look *look = &table->look[bits];
    Symbol first = look->first;
    look->length = first.length + first.size;
    look->place = look->next = first.run + 1;
    look->value = 0;
    if (!first.length || look->length >= LOOK || first.run == END_OF_BLOCK) return;
    uint32_t rest = bits << look->length & ((1 << LOOK) - 1);
    Symbol second = table->look[rest].first;
    if (!second.length || look->length + second.length + second.size > LOOK) return;
    look->value = (int16_t)value_of((uint64_t)rest << (64 - LOOK) << second.length, second.size);
    look->length += second.length + second.size;
    look->next += second.run + 1;
    if (second.run != END_OF_BLOCK) look->place += second.run;
}

/* 0 where it is no table of codes. `most`: the largest symbol allowed. */
static int table_fill(Table *table, const Codes *codes, int most) {
    memset(table->look, 0, sizeof table->look);
    int code = 0, count = 0;
    for (int length = 1; length <= LONGEST_CODE; length++, code <<= 1) {
        table->shift[length] = count - code;
        int of_length = codes->counts[length];
        if (count + of_length > 256 || code + of_length >= 1 << length) return 0; /* all ones is no code */
        for (int i = 0; i < of_length; i++, code++, count++) {
            int symbol = table->symbol[count] = codes->symbols[count], left = LOOK - length;
            if (symbol > most) return 0;
            for (uint32_t rest = 0; left >= 0 && rest < 1u << left; rest++)
                table->look[((uint32_t)code << left) + rest].first = symbol_of(symbol, length);
        }
        table->behind[length] = of_length ? code : 0;
    }
    for (uint32_t bits = 0; bits < 1 << LOOK; bits++) look_further(table, bits);
    return 1;
}

/* The symbol of a code of more than LOOK bits; of length 0 where there is none. */
static Symbol long_symbol(const Table *table, uint64_t bits) {
    for (int l = LOOK + 1; l <= LONGEST_CODE; l++) {
        int code = (int)(bits >> (64 - l));
        if (code < table->behind[l]) return symbol_of(table->symbol[code + table->shift[l]], l);
    }
    return (Symbol){0, 0, 0};
}

#define TAKE(length)                                                                                                   \
    bits <<= (length);                                                                                                 \
    count -= (length)

/* The next symbol of `table` and its value. */
#define SYMBOL(table)                                                                                                  \
    REFILL();                                                                                                          \
    Symbol symbol = (table)->look[bits >> (64 - LOOK)].first;                                                          \
    if (__builtin_expect(!symbol.length, 0) && !(symbol = long_symbol(table, bits)).length) return 0;                  \
    TAKE(symbol.length);                                                                                               \
    int value = value_of(bits, symbol.size);                                                                           \
    TAKE(symbol.size)

/* The next symbol of `waves` into `to`, and the one behind it where the same bits tell it. */
#define SYMBOLS()                                                                                                      \
    Look look = waves->look[bits >> (64 - LOOK)];                                                                      \
    if (__builtin_expect(!look.first.length, 0)) break;                                                                \
    to[natural[k + look.first.run]] = (int16_t)value_of(bits << look.first.length, look.first.size);                   \
    to[natural[k + look.place]] = look.value;                                                                          \
    TAKE(look.length);                                                                                                 \
    k += look.next;                                                                                                    \
    if (k >= BLOCK_SIZE - LONGEST_RUN) break

/* One block into `to`, which is all 0; `mean` is that of the block before. 0 where it is damaged. */
INLINE int block_read(Bits *from, const Table *means, const Table *waves, int16_t *mean, int16_t *to, uint8_t *flat) {
    const uint8_t *room = from->room;
    uint64_t bits = from->bits;
    int count = from->count;
    unsigned k = 1;
    size_t at = from->at;
    {
        SYMBOL(means);
        to[0] = *mean = (int16_t)(*mean + value);
    }
    while (k < BLOCK_SIZE) {
        while (k < BLOCK_SIZE - LONGEST_RUN) { /* so far no first of two symbols ends the block */
            REFILL(); /* enough for twice LOOK bits and a value */
            { SYMBOLS(); }
            { SYMBOLS(); }
        }
        if (k >= BLOCK_SIZE) break;
        SYMBOL(waves);
        k += symbol.run;
        to[natural[k++]] = (int16_t)value;
    }
    *flat = k == 1 + END_OF_BLOCK + 1;
    from->bits = bits;
    from->count = count;
    from->at = at;
    return k == BLOCK_SIZE || k > END_OF_BLOCK;
}

/* ---- Samples --------------------------------------------------------------------------------------------------- */

/* The inverse cosine transform, with 13 bits behind the point (14 and 15 for 4 and 2 samples): how much of each coefficient
 * is in the samples of the first half. In the other half the odd ones count the other way. These are the products of
 * libjpeg's accurate integer methods, multiplied out; the smaller ones leave out what they leave out. */
static const int32_t EIGHT[4][8] = {
    {8192, 11363, 10703, 9633, 8192, 6437, 4433, 2260},
    {8192, 9633, 4433, -2259, -8192, -11362, -10704, -6436},
    {8192, 6437, -4433, -11362, -8192, 2261, 10704, 9633},
    {8192, 2260, -10703, -6436, 8192, 9633, -4433, -11363},
};
static const int32_t FOUR[2][8] = {
    {16384, 20995, 15137, 7373, 0, -4926, -6270, -4176},
    {16384, 8697, -15137, -17799, 0, 11893, 6270, -1730},
};
static const int32_t TWO[1][8] = {{32768, 29692, 0, -10426, 0, 6967, 0, -5906}};

INLINE int clamped(int value, int low, int high) { return value < low ? low : value > high ? high : value; }

/* One line of coefficients, `step` apart, as one of `size` numbers; sums wrap, as those of vectors do. */
INLINE void line(const int16_t *from, int step, const int32_t (*wave)[8], int size, int down, int16_t *to) {
    for (int x = 0; x < size / 2; x++) {
        uint32_t even = 1u << (down - 1), odd = 0;
        for (int k = 0; k < 8; k += 2) {
            even += (uint32_t)(wave[x][k] * from[k * step]);
            odd += (uint32_t)(wave[x][k + 1] * from[(k + 1) * step]);
        }
        to[x * step] = (int16_t)clamped((int32_t)(even + odd) >> down, INT16_MIN, INT16_MAX);
        to[(size - 1 - x) * step] = (int16_t)clamped((int32_t)(even - odd) >> down, INT16_MIN, INT16_MAX);
    }
}

/* One block: first its columns, then its rows. The first pass keeps 2 more bits, the second takes them and the 3 of the
 * transform's scale away. */
INLINE void block_plain(const int16_t *block, const uint16_t *steps, const int32_t (*wave)[8], int size, uint8_t *to,
                        size_t stride) {
    const int more = size == 8 ? 0 : size == 4 ? 1 : 2;
    int16_t whole[BLOCK_SIZE], half[BLOCK_SIZE], row[8];
    for (int i = 0; i < BLOCK_SIZE; i++) whole[i] = (int16_t)(block[i] * steps[i]);
    for (int x = 0; x < 8; x++) line(whole + x, 8, wave, size, 11 + more, half + x);
    for (int y = 0; y < size; y++) {
        line(half + 8 * y, 1, wave, size, 18 + more, row);
        for (int x = 0; x < size; x++) to[y * stride + x] = (uint8_t)clamped(row[x] + 128, 0, 255);
    }
}

/* `count` blocks of one row, `size` by `size` samples each. */
typedef void Place(const int16_t *block, const uint8_t *flat, int count, const uint16_t *steps, int size, uint8_t *to,
                   size_t stride);

/* What is all one brightness. */
INLINE void place_flat(int16_t mean, uint16_t step, int size, uint8_t *to, size_t stride) {
    int value = clamped((((int16_t)(mean * step) + 4) >> 3) + 128, 0, 255);
    for (int y = 0; y < size; y++) memset(to + y * stride, value, size);
}

static void place_plain(const int16_t *block, const uint8_t *flat, int count, const uint16_t *steps, int size, uint8_t *to,
                        size_t stride) {
    for (int i = 0; i < count; i++, block += BLOCK_SIZE, to += size) {
        if (size == 1 || flat[i]) place_flat(block[0], steps[0], size, to, stride);
        else if (size == 8) block_plain(block, steps, EIGHT, 8, to, stride);
        else if (size == 4) block_plain(block, steps, FOUR, 4, to, stride);
        else block_plain(block, steps, TWO, 2, to, stride);
    }
}

#ifdef MODERN
/* Two blocks at once, one in each half of the vectors. */
MODERN_INLINE __m256i row_of_two(const int16_t *block, const uint16_t *steps, int y) {
    __m256i both = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(block + 8 * y)));
    both = _mm256_inserti128_si256(both, _mm_loadu_si128((const __m128i *)(block + BLOCK_SIZE + 8 * y)), 1);
    return _mm256_mullo_epi16(both, _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(steps + 8 * y))));
}

MODERN_INLINE Sums both_sums(Sums a, Sums b) {
    return (Sums){_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}

MODERN_INLINE Sums less(Sums a) {
    const __m256i zero = _mm256_setzero_si256();
    return (Sums){_mm256_sub_epi32(zero, a.low), _mm256_sub_epi32(zero, a.high)};
}

#define SUMS(v, wave, x, i, j) sums((v)[i], (v)[j], (wave)[x][i], (wave)[x][j])

MODERN_INLINE void columns_of_eight(__m256i v[8], const int down) {
    __m256i to[8];
    for (int x = 0; x < 4; x++) {
        Sums even = both_sums(SUMS(v, EIGHT, x, 0, 4), SUMS(v, EIGHT, x, 2, 6));
        Sums odd = both_sums(SUMS(v, EIGHT, x, 1, 3), SUMS(v, EIGHT, x, 5, 7));
        to[x] = rounded(even, odd, down);
        to[7 - x] = rounded(even, less(odd), down);
    }
    memcpy(v, to, sizeof to);
}

MODERN_INLINE void two_of_eight(const int16_t *block, const uint16_t *steps, uint8_t *to, size_t stride) {
    const __m256i middle = _mm256_set1_epi8((char)128);
    __m256i v[8];
    for (int y = 0; y < 8; y++) v[y] = row_of_two(block, steps, y);
    columns_of_eight(v, 11);
    turn_both(v);
    columns_of_eight(v, 18);
    turn_both(v);
    for (int y = 0; y < 8; y += 2) {
        __m256i bytes = _mm256_xor_si256(_mm256_packs_epi16(v[y], v[y + 1]), middle);
        bytes = _mm256_permute4x64_epi64(bytes, 0xD8); /* a row of both, then the next */
        _mm_storeu_si128((__m128i *)(to + y * stride), _mm256_castsi256_si128(bytes));
        _mm_storeu_si128((__m128i *)(to + (y + 1) * stride), _mm256_extracti128_si256(bytes, 1));
    }
}

/* How much of the coefficients of a row is in the x-th of four samples. */
MODERN_INLINE __m256i weights_of_four(int x) {
    int16_t weight[8];
    for (int k = 0; k < 8; k++) weight[k] = (int16_t)(x < 2 || k % 2 == 0 ? FOUR[x < 2 ? x : 3 - x][k] : -FOUR[3 - x][k]);
    __m128i found;
    memcpy(&found, weight, sizeof found);
    return _mm256_broadcastsi128_si256(found);
}

MODERN_INLINE void two_of_four(const int16_t *block, const uint16_t *steps, uint8_t *to, size_t stride) {
    const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(1 << 18);
    __m256i v[8], row[4];
    for (int y = 0; y < 8; y++) v[y] = y == 4 ? zero : row_of_two(block, steps, y);
    for (int x = 0; x < 2; x++) {
        Sums even = both_sums(SUMS(v, FOUR, x, 0, 4), SUMS(v, FOUR, x, 2, 6));
        Sums odd = both_sums(SUMS(v, FOUR, x, 1, 3), SUMS(v, FOUR, x, 5, 7));
        row[x] = rounded(even, odd, 12);
        row[3 - x] = rounded(even, less(odd), 12);
    }
    for (int y = 0; y < 4; y++) {
        __m256i part[4];
        for (int x = 0; x < 4; x++) part[x] = _mm256_madd_epi16(row[y], weights_of_four(x));
        __m256i sum = _mm256_hadd_epi32(_mm256_hadd_epi32(part[0], part[1]), _mm256_hadd_epi32(part[2], part[3]));
        row[y] = _mm256_srai_epi32(_mm256_add_epi32(sum, half), 19);
    }
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(row[0], row[1]), _mm256_packs_epi32(row[2], row[3]));
    bytes = _mm256_xor_si256(bytes, _mm256_set1_epi8((char)128));
    __m128i one = _mm256_castsi256_si128(bytes), other = _mm256_extracti128_si256(bytes, 1);
    __m128i upper = _mm_unpacklo_epi32(one, other), lower = _mm_unpackhi_epi32(one, other);
    _mm_storel_epi64((__m128i *)to, upper);
    _mm_storel_epi64((__m128i *)(to + stride), _mm_unpackhi_epi64(upper, upper));
    _mm_storel_epi64((__m128i *)(to + 2 * stride), lower);
    _mm_storel_epi64((__m128i *)(to + 3 * stride), _mm_unpackhi_epi64(lower, lower));
}

MODERN static void place_modern(const int16_t *block, const uint8_t *flat, int count, const uint16_t *steps, int size,
                                uint8_t *to, size_t stride) {
    int i = 0;
    for (; size >= 4 && i + 1 < count; i += 2, block += 2 * BLOCK_SIZE, to += 2 * size) {
        if (flat[i] && flat[i + 1]) {
            place_flat(block[0], steps[0], size, to, stride);
            place_flat(block[BLOCK_SIZE], steps[0], size, to + size, stride);
        } else if (size == 8) {
            two_of_eight(block, steps, to, stride);
        } else {
            two_of_four(block, steps, to, stride);
        }
    }
    if (i < count) place_plain(block, flat + i, count - i, steps, size, to, stride);
}
#endif

/* ---- The scan -------------------------------------------------------------------------------------------------- */

typedef struct {
    Bits bits;
    Table table[2 * MOST_PARTS];
    const Table *means[MOST_PARTS], *waves[MOST_PARTS]; /* the parts of colour share theirs, mostly */
    int16_t mean[MOST_PARTS];
    unsigned to_restart;
    int restarts;
    uint8_t flat[MOST_BLOCKS][BATCH * 2];
    int16_t block[MOST_BLOCKS][BATCH * 2][BLOCK_SIZE]; /* of each part's rows of blocks */
} Reader;

/* Passes the restart marker that is due. 0 where it is not there. */
static int restarted(Reader *r, const Baseline *what) {
    if (!bits_end(&r->bits, 0xD0 + r->restarts)) return 0;
    bits_start(&r->bits);
    memset(r->mean, 0, sizeof r->mean);
    r->restarts = (r->restarts + 1) % 8;
    r->to_restart = what->restart;
    return 1;
}

/* The coefficients of `count` units. 0 where something is damaged. */
INLINE int units_read(Reader *r, const Baseline *what, int count) {
    for (int i = 0, row = 0; i < what->count; i++)
        for (int y = 0; y < what->part[i].down; y++, row++)
            memset(r->block[row], 0, count * what->part[i].across * sizeof r->block[row][0]);
    for (int unit = 0; unit < count; unit++) {
        if (what->restart && r->to_restart-- == 0) {
            if (!restarted(r, what)) return 0;
            r->to_restart--;
        }
        if (!r->bits.ended && r->bits.filled - r->bits.at < UNIT_BYTES) bits_more(&r->bits);
        for (int i = 0, row = 0; i < what->count; i++) {
            const BaselinePart *part = &what->part[i];
            for (int y = 0; y < part->down; y++, row++)
                for (int x = unit * part->across; x < (unit + 1) * part->across; x++)
                    if (!block_read(&r->bits, r->means[i], r->waves[i], &r->mean[i], r->block[row][x], &r->flat[row][x]))
                        return 0;
        }
        if (bits_left(&r->bits) < 0) return 0;
    }
    return 1;
}

INLINE int scan_read(Reader *r, const Baseline *what, Place *place) {
    for (int v = 0; v < what->units_down; v++)
        for (int u = 0; u < what->units_across; u += BATCH) {
            int count = what->units_across - u < BATCH ? what->units_across - u : BATCH;
            if (!units_read(r, what, count)) return 0;
            for (int i = 0, row = 0; i < what->count; i++) {
                const BaselinePart *part = &what->part[i];
                for (int y = 0; y < part->down; y++, row++) {
                    size_t top = ((size_t)v * part->down + y) * part->size, left = (size_t)u * part->across * part->size;
                    place(r->block[row][0], r->flat[row], count * part->across, part->steps, part->size,
                          part->data + top * part->stride + left, part->stride);
                }
            }
        }
    return bits_end(&r->bits, 0xD9);
}

static int tables_fill(Reader *r, const Baseline *what) {
    for (int i = 0; i < what->count; i++) {
        const BaselinePart *part = &what->part[i], *before = i ? part - 1 : part;
        r->means[i] = i && part->mean.counts == before->mean.counts ? r->means[i - 1] : &r->table[2 * i];
        r->waves[i] = i && part->waves.counts == before->waves.counts ? r->waves[i - 1] : &r->table[2 * i + 1];
        if (r->means[i] == &r->table[2 * i] && !table_fill(&r->table[2 * i], &part->mean, MOST_BITS)) return 0;
        if (r->waves[i] == &r->table[2 * i + 1] && !table_fill(&r->table[2 * i + 1], &part->waves, 255)) return 0;
    }
    return 1;
}

static int scan_plain(Reader *r, const Baseline *what) { return scan_read(r, what, place_plain); }
static int (*scan)(Reader *, const Baseline *) = scan_plain;

#ifdef MODERN
MODERN static int scan_modern(Reader *r, const Baseline *what) { return scan_read(r, what, place_modern); }
#endif

void baseline_prepare(void) {
    natural_fill();
#ifdef MODERN
    if (is_modern()) scan = scan_modern;
#endif
}

int baseline_read(const Baseline *what) {
    Reader *r = malloc(sizeof *r);
    if (!r) return 0;
    int good = tables_fill(r, what);
    bits_start(&r->bits);
    r->bits.next = what->data;
    r->bits.end = what->data + what->size;
    memset(r->mean, 0, sizeof r->mean);
    r->to_restart = what->restart;
    r->restarts = 0;
    good = good && scan(r, what);
    free(r);
    return good;
}
