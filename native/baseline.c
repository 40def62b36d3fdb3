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


enum {
    MOST_BITS = 15, LONGEST_RUN = 16, MOST_PARTS = 3, MOST_BLOCKS = 6,
    BATCH = 8,       /* units whose coefficients are kept, so few that they stay in the nearest cache */
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
    Book book;
} Table;

static Symbol symbol_of(int code, int length) {
    int size = code & 15, run = code >> 4;
    return (Symbol){(uint8_t)length, (uint8_t)size, (uint8_t)(size || run == 15 ? run : END_OF_BLOCK)};
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
    if (!book_fill(&table->book, codes, most)) return 0;
    for (int length = 1; length <= LOOK; length++)
        for (int code = table->book.first[length]; code < table->book.behind[length]; code++) {
            Symbol symbol = symbol_of(table->book.symbol[code + table->book.shift[length]], length);
            for (uint32_t left = LOOK - length, rest = 0; rest < 1u << left; rest++)
                table->look[((uint32_t)code << left) + rest].first = symbol;
        }
    for (uint32_t bits = 0; bits < 1 << LOOK; bits++) look_further(table, bits);
    return 1;
}

/* The symbol of a code of more than LOOK bits; of length 0 where there is none. */
static Symbol long_symbol(const Table *table, uint64_t bits) {
    int symbol, length = book_find(&table->book, bits, &symbol);
    return length ? symbol_of(symbol, length) : (Symbol){0, 0, 0};
}

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

/* ---- The scan -------------------------------------------------------------------------------------------------- */

static Place *place;

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

INLINE int scan_read(Reader *r, const Baseline *what) {
    for (int v = 0; v < what->units_down; v++) {
        if (stopped(what->stop)) return 0;
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

static int scan_plain(Reader *r, const Baseline *what) { return scan_read(r, what); }
static int (*scan)(Reader *, const Baseline *) = scan_plain;

#ifdef MODERN
MODERN static int scan_modern(Reader *r, const Baseline *what) { return scan_read(r, what); }
#endif

void baseline_prepare(void) {
    natural_fill();
    place = idct_choose();
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
