/* The scans of a progressive JPEG (ITU-T T.81, annex G) as samples, at 1/1, 1/2, 1/4 or 1/8.
 *
 * All coefficients are kept until the last scan has been read, as libjpeg keeps them (at 1/8, where no other counts, the mean of
 * each block alone), and for each block which of them are not zero, a bit each: what a scan refines is found by these bits, and not
 * by looking at every coefficient.
 *
 * As in baseline.c, what is damaged or unusual is given back to libjpeg, which begins anew. Each scan must follow the ones before
 * as encoders write them, and in the end all coefficients must be there to the last bit: otherwise libjpeg smooths blocks.
 */
#include "scans.h"

enum { SOI = 0xD8, EOI, SOS, DQT, DHT = 0xC4, DRI = 0xDD, RST0 = 0xD0, APP0 = 0xE0, APP15 = 0xEF, COM = 0xFE };
enum { UNSEEN = 255, MOST_LOW = 13, MOST_DC = 15, MOST_MEAN = 1 << 16, AT_ONCE = 32 /* bits */ };

/* The place of a coefficient in a block by its place in the zigzag, and by its bit of `other`. */
static uint8_t natural[BLOCK_SIZE], natural_of_bit[BLOCK_SIZE];
static Place *place;

/* What LOOK bits tell of a code: its length, 0 where it is longer or none, and its symbol. */
typedef struct {
    uint8_t length, symbol;
} Known;

typedef struct {
    int is_there;
    Known known[1 << LOOK];
    Book book;
} Table;

typedef struct {
    size_t row; /* blocks */
    int16_t *mean, *wave; /* the first coefficient of each block; all of each, but for the first, or NULL at 1/8 */
    uint64_t *other; /* of each block: which waves are not 0, by their place in the zigzag, the first at the top */
    uint8_t low[BLOCK_SIZE]; /* how many bits of a coefficient are missing so far; UNSEEN: all */
} Store;

typedef struct {
    const Scans *what;
    Bits bits;
    Table table[2][TABLES];
    Store store[PARTS];
    unsigned restart, to_restart, skip; /* skip: blocks that have nothing more in this band */
    int restarts, mean[PARTS];
    int16_t passing[BLOCK_SIZE]; /* in place of waves that are not kept: what stands there does not count */
    /* The scan: its parts, the tables of each, the band, and the bits above and within it. */
    int parts, part[PARTS], means[PARTS], waves, from, to, high, low;
} Reader;

static int table_fill(Table *table, const Codes *codes, int most) {
    table->is_there = codes->counts && book_fill(&table->book, codes, most);
    memset(table->known, 0, sizeof table->known);
    for (int length = 1; table->is_there && length <= LOOK; length++)
        for (int code = table->book.first[length]; code < table->book.behind[length]; code++) {
            Known known = {(uint8_t)length, table->book.symbol[code + table->book.shift[length]]};
            for (uint32_t left = LOOK - length, rest = 0; rest < 1u << left; rest++)
                table->known[((uint32_t)code << left) + rest] = known;
        }
    return table->is_there;
}

/* ---- Blocks ---------------------------------------------------------------------------------------------------- */

/* The bits of a Bits while blocks are read: a compiler keeps them in registers from one block to the next. */
typedef struct {
    const uint8_t *room;
    uint64_t bits;
    int count;
    size_t at, enough; /* enough: a block may begin up to here without a look at how many there are */
} Next;

INLINE Next next_open(Bits *b) {
    if (!b->ended && b->filled - b->at < UNIT_BYTES) bits_more(b);
    return (Next){b->room, b->bits, b->count, b->at, b->ended ? b->filled : b->filled - UNIT_BYTES};
}

INLINE void next_close(const Next *next, Bits *b) {
    b->bits = next->bits;
    b->count = next->count;
    b->at = next->at;
}

/* As variables of the function, for REFILL and TAKE, and back. */
#define BITS_BEGIN(next)                                                                                               \
    const uint8_t *room = (next)->room;                                                                                \
    uint64_t bits = (next)->bits;                                                                                      \
    int count = (next)->count;                                                                                         \
    size_t at = (next)->at
#define BITS_END(next)                                                                                                 \
    (next)->bits = bits;                                                                                               \
    (next)->count = count;                                                                                             \
    (next)->at = at

/* The next symbol; `name` is its code. */
#define SYMBOL(table, name)                                                                                            \
    REFILL();                                                                                                          \
    int name;                                                                                                          \
    {                                                                                                                  \
        Known known = (table)->known[bits >> (64 - LOOK)];                                                             \
        int length = known.length;                                                                                     \
        name = known.symbol;                                                                                           \
        if (__builtin_expect(!length, 0) && !(length = book_find(&(table)->book, bits, &name))) return 0;              \
        TAKE(length);                                                                                                  \
    }

INLINE int mean_first(Reader *r, Next *next, int i, int16_t *mean) {
    const Table *table = &r->table[0][r->means[i]];
    int part = r->part[i];
    BITS_BEGIN(next);
    SYMBOL(table, size);
    r->mean[part] += value_of(bits, size);
    if (r->mean[part] > MOST_MEAN || r->mean[part] < -MOST_MEAN) return 0;
    TAKE(size);
    *mean = (int16_t)((uint32_t)r->mean[part] << r->low);
    BITS_END(next);
    return 1;
}

INLINE int mean_more(Reader *r, Next *next, int16_t *mean) {
    BITS_BEGIN(next);
    REFILL();
    *mean |= (int16_t)((bits >> 63) << r->low);
    TAKE(1);
    BITS_END(next);
    return 1;
}

INLINE int waves_first(Reader *r, Next *next, int16_t *block, uint64_t *other) {
    const Table *table = &r->table[1][r->waves];
    if (r->skip) {
        r->skip--;
        return 1;
    }
    BITS_BEGIN(next);
    for (int k = r->from; k <= r->to; k++) {
        SYMBOL(table, symbol);
        int run = symbol >> 4, size = symbol & 15;
        if (!size && run < 15) {
            r->skip = (1u << run) - 1;
            if (run) r->skip += (unsigned)(bits >> (64 - run));
            TAKE(run);
            break;
        }
        k += run;
        if (!size) continue;
        if (k > r->to) return 0;
        block[natural[k]] = (int16_t)((uint32_t)value_of(bits, size) << r->low);
        *other |= 1ull << (63 - k);
        TAKE(size);
    }
    BITS_END(next);
    return 1;
}

/* The lowest bits of `from`, one for each bit of `mask`. */
INLINE uint64_t spread(uint64_t from, uint64_t mask, const int modern) {
    uint64_t to = 0;
#ifdef MODERN
    if (modern) {
        __asm__("pdepq %2, %1, %0" : "=r"(to) : "r"(from), "r"(mask));
        return to;
    }
#endif
    (void)modern;
    for (; mask; mask &= mask - 1, from >>= 1) to |= from & 1 ? mask & -mask : 0;
    return to;
}

/* Reads a bit for each of `which`: those where it is 1 come to `more`. */
#define REFINE(which)                                                                                                  \
    do {                                                                                                               \
        uint64_t all = (which);                                                                                        \
        int n = __builtin_popcountll(all);                                                                             \
        if (__builtin_expect(n > AT_ONCE, 0)) {                                                                        \
            uint64_t first = spread(~0ull << (n - AT_ONCE), all, modern);                                              \
            more |= spread(bits >> (64 - AT_ONCE), first, modern);                                                     \
            TAKE(AT_ONCE);                                                                                             \
            REFILL();                                                                                                  \
            n -= AT_ONCE; /* the lowest of them */                                                                     \
        }                                                                                                              \
        more |= spread(bits >> 1 >> (63 - n), all, modern);                                                            \
        TAKE(n);                                                                                                       \
    } while (0)

INLINE int waves_more(Reader *r, Next *next, int16_t *block, uint64_t *other, const int modern) {
    const Table *table = &r->table[1][r->waves];
    /* What is left of the band; what gets a bit more; of that what is new, and what becomes negative. */
    uint64_t left = (~0ull << (63 - r->to)) & (~0ull >> r->from), was = *other, more = 0, fresh = 0, minus = 0;
    BITS_BEGIN(next);
    while (left && !r->skip) {
        SYMBOL(table, symbol);
        int run = symbol >> 4, size = symbol & 15;
        uint64_t negative = 0;
        if (size) {
            if (size != 1) return 0;
            negative = ~(uint64_t)((int64_t)bits >> 63);
            TAKE(1);
        } else if (run < 15) {
            r->skip = 1u << run;
            if (run) r->skip += (unsigned)(bits >> (64 - run));
            TAKE(run);
            break;
        }
        uint64_t zeros = left & ~was;
        int behind = __builtin_popcountll(zeros) - 1 - run;
        uint64_t zero = behind < 0 ? 0 : spread(1ull << behind, zeros, modern); /* that the run leads to */
        uint64_t passed = zero ? left & ~(2 * zero - 1) : left;
        REFINE(passed & was);
        left &= zero ? zero - 1 : 0;
        if (!size) continue;
        if (!zero) return 0;
        fresh |= zero;
        minus |= zero & negative;
    }
    if (r->skip) {
        REFILL();
        REFINE(left & was);
        r->skip--;
    }
    for (uint64_t all = more | fresh; all; all &= all - 1) {
        int bit = __builtin_ctzll(all);
        int16_t *one = block + natural_of_bit[bit];
        *one += (int16_t)(((*one >> 15) | -(int)(minus >> bit & 1) | 1) * (1 << r->low));
    }
    *other = was | fresh;
    BITS_END(next);
    return 1;
}

/* ---- Scans ----------------------------------------------------------------------------------------------------- */

enum { MEAN_FIRST, MEAN_MORE, WAVES_FIRST, WAVES_MORE };

INLINE int block_read(Reader *r, Next *next, int kind, int i, size_t number, const int modern) {
    Store *store = &r->store[r->part[i]];
    if (next->at > next->enough) {
        next_close(next, &r->bits);
        *next = next_open(&r->bits);
        if (bits_left(&r->bits) < 0) return 0;
    }
    if (kind == MEAN_FIRST) return mean_first(r, next, i, store->mean + number);
    if (kind == MEAN_MORE) return mean_more(r, next, store->mean + number);
    int16_t *block = store->wave ? store->wave + number * BLOCK_SIZE : r->passing;
    uint64_t *other = &store->other[number];
    return kind == WAVES_FIRST ? waves_first(r, next, block, other) : waves_more(r, next, block, other, modern);
}

static void restart(Reader *r) {
    bits_start(&r->bits);
    memset(r->mean, 0, sizeof r->mean);
    r->to_restart = r->restart;
    r->skip = 0;
}

/* Passes the restart marker where one is due. 0 where it is not there. */
INLINE int unit_begins(Reader *r, Next *next) {
    if (!r->restart || r->to_restart--) return 1;
    next_close(next, &r->bits);
    if (!bits_end(&r->bits, RST0 + r->restarts)) return 0;
    r->restarts = (r->restarts + 1) % 8;
    restart(r);
    r->to_restart--;
    *next = next_open(&r->bits);
    return 1;
}

INLINE int row_of_many(Reader *r, int v, int kind, const int modern) {
    const Scans *what = r->what;
    Next next = next_open(&r->bits);
    for (int u = 0; u < what->units_across; u++) {
        if (!unit_begins(r, &next)) return 0;
        for (int i = 0; i < r->parts; i++) {
            const ScanPart *part = &what->part[r->part[i]];
            for (int y = v * part->down; y < (v + 1) * part->down; y++)
                for (int x = u * part->across; x < (u + 1) * part->across; x++)
                    if (!block_read(r, &next, kind, i, y * r->store[r->part[i]].row + x, modern)) return 0;
        }
    }
    next_close(&next, &r->bits);
    return bits_left(&r->bits) >= 0;
}

INLINE int row_of_one(Reader *r, int y, int kind, const int modern) {
    size_t first = y * r->store[r->part[0]].row;
    Next next = next_open(&r->bits);
    for (int x = 0; x < r->what->part[r->part[0]].wide; x++)
        if (!unit_begins(r, &next) || !block_read(r, &next, kind, 0, first + x, modern)) return 0;
    next_close(&next, &r->bits);
    return bits_left(&r->bits) >= 0;
}

INLINE int units_read(Reader *r, int kind, const int modern) {
    const int one = r->parts == 1, rows = one ? r->what->part[r->part[0]].high : r->what->units_down;
    for (int y = 0; y < rows; y++) {
        if (stopped(r->what->stop)) return 0;
        if (!(one ? row_of_one(r, y, kind, modern) : row_of_many(r, y, kind, modern))) return 0;
    }
    return 1;
}

/* One copy of the loops for each kind. */
INLINE int scan_read(Reader *r, const int modern) {
    if (!r->from) return r->high ? units_read(r, MEAN_MORE, modern) : units_read(r, MEAN_FIRST, modern);
    return r->high ? units_read(r, WAVES_MORE, modern) : units_read(r, WAVES_FIRST, modern);
}

static int scan_plain(Reader *r) { return scan_read(r, 0); }
static int (*scan)(Reader *) = scan_plain;

#ifdef MODERN
MODERN static int scan_modern(Reader *r) { return scan_read(r, 1); }
#endif

/* Whether the band may come now, and all that it needs is there; then its bits count as read. */
static int band_begins(Reader *r) {
    int is_mean = r->from == 0;
    if (r->to >= BLOCK_SIZE || r->from > r->to || (is_mean ? r->to != 0 : r->parts != 1) || r->low > MOST_LOW) return 0;
    if (r->high && r->high != r->low + 1) return 0;
    for (int i = 0; i < r->parts; i++) {
        Store *store = &r->store[r->part[i]];
        if (!is_mean && store->low[0] == UNSEEN) return 0;
        if (is_mean && !r->high && !r->table[0][r->means[i]].is_there) return 0;
        for (int k = r->from; k <= r->to; k++) {
            if (store->low[k] != (r->high ? r->high : UNSEEN)) return 0;
            store->low[k] = (uint8_t)r->low;
        }
    }
    return is_mean || r->table[1][r->waves].is_there;
}

/* A scan's header of `size` bytes, then the scan. */
static int scan_begins(Reader *r, const uint8_t *body, size_t size) {
    r->parts = size ? body[0] : 0;
    if (r->parts < 1 || r->parts > r->what->count || size != 4 + 2 * (size_t)r->parts) return 0;
    for (int i = 0, part = 0; i < r->parts; i++, part++) { /* in the order of the frame */
        while (part < r->what->count && r->what->part[part].id != body[1 + 2 * i]) part++;
        if (part == r->what->count) return 0;
        r->part[i] = part;
        r->means[i] = body[2 + 2 * i] >> 4;
        r->waves = body[2 + 2 * i] & 15;
        if (r->means[i] >= TABLES || r->waves >= TABLES) return 0;
    }
    const uint8_t *band = body + 1 + 2 * r->parts;
    r->from = band[0];
    r->to = band[1];
    r->high = band[2] >> 4;
    r->low = band[2] & 15;
    r->restarts = 0;
    r->bits.next = body + size;
    restart(r);
    if (!band_begins(r) || !scan(r)) return 0;
    if (!r->bits.ended) bits_more(&r->bits);
    return r->bits.ended && bits_left(&r->bits) >= 0 && bits_left(&r->bits) <= 7;
}

static int tables_change(Reader *r, const uint8_t *body, size_t size) {
    while (size) {
        size_t symbols = 0;
        if (size < 1 + LONGEST_CODE) return 0;
        for (int length = 1; length <= LONGEST_CODE; length++) symbols += body[length];
        int kind = body[0] >> 4, number = body[0] & 15;
        if (kind > 1 || number >= TABLES || symbols > size - 1 - LONGEST_CODE) return 0;
        Codes codes = {body, body + 1 + LONGEST_CODE}; /* counts[1] is that of length 1 */
        if (!table_fill(&r->table[kind][number], &codes, kind ? 255 : MOST_DC)) return 0;
        body += 1 + LONGEST_CODE + symbols;
        size -= 1 + LONGEST_CODE + symbols;
    }
    return 1;
}

/* All segments from the first scan's header to the end of the picture. */
static int segments_read(Reader *r) {
    r->bits.next = r->what->data;
    r->bits.end = r->what->data + r->what->size;
    for (;;) {
        const uint8_t *here = r->bits.next;
        size_t left = r->bits.end - here;
        if (left < 2 || here[0] != 0xFF) return 0;
        if (here[1] == EOI) return 1;
        size_t length = left < 4 ? 0 : (size_t)here[2] << 8 | here[3];
        if (length < 2 || length > left - 2) return 0;
        const uint8_t *body = here + 4;
        size_t size = length - 2;
        r->bits.next = body + size;
        if (here[1] == SOS) {
            if (!scan_begins(r, body, size)) return 0;
        } else if (here[1] == DHT) {
            if (!tables_change(r, body, size)) return 0;
        } else if (here[1] == DRI && size == 2) {
            r->restart = (unsigned)body[0] << 8 | body[1];
        } else if ((here[1] < APP0 || here[1] > APP15) && here[1] != COM) {
            return 0;
        }
    }
}

/* ---- The whole ------------------------------------------------------------------------------------------------- */

static int store_new(Store *store, const ScanPart *part, const Scans *what) {
    store->row = (size_t)what->units_across * part->across;
    size_t blocks = bytes(store->row, (size_t)what->units_down * part->down, 0);
    memset(store->low, UNSEEN, sizeof store->low);
    store->mean = allocate_zeros(blocks, sizeof *store->mean);
    store->other = allocate_zeros(blocks, sizeof *store->other);
    if (part->size == 1) return store->mean && store->other;
    store->wave = allocate_zeros(blocks, BLOCK_SIZE * sizeof *store->wave);
    return store->mean && store->other && store->wave;
}

static void store_free(Store *store) {
    free(store->mean);
    free(store->other);
    free(store->wave);
}

/* One row of blocks. `flat` is room for a byte a block. */
static void row_make(const Store *store, const ScanPart *part, size_t first, uint8_t *flat, uint8_t *to) {
    const int16_t *mean = store->mean + first;
    if (!store->wave) {
        for (size_t x = 0; x < store->row; x++) place(mean + x, flat + x, 1, part->steps, 1, to + x, part->stride);
        return;
    }
    int16_t *wave = store->wave + first * BLOCK_SIZE;
    for (size_t x = 0; x < store->row; x++) {
        flat[x] = !store->other[first + x];
        wave[x * BLOCK_SIZE] = mean[x];
    }
    place(wave, flat, (int)store->row, part->steps, part->size, to, part->stride);
}

static int samples_make(const Store *store, const ScanPart *part, const Scans *what) {
    const int rows = what->units_down * part->down;
    int y = 0;
    uint8_t *flat = allocate(store->row, 1, 0);
    for (; flat && y < rows && !stopped(what->stop); y++)
        row_make(store, part, y * store->row, flat, part->data + (size_t)y * part->size * part->stride);
    free(flat);
    return y == rows;
}

static int whole(const Reader *r) {
    for (int i = 0; i < r->what->count; i++)
        for (int k = 0; k < BLOCK_SIZE; k++)
            if (r->store[i].low[k]) return 0;
    return 1;
}

void scans_prepare(void) {
    for (int i = 0; i < BLOCK_SIZE; i++) natural[ZIGZAG[i]] = natural_of_bit[63 - ZIGZAG[i]] = (uint8_t)i;
    place = idct_choose();
#ifdef MODERN
    if (is_modern() && !spreads_slowly()) scan = scan_modern;
#endif
}

int scans_read(const Scans *what) {
    Reader *r = calloc(1, sizeof *r);
    if (!r) return 0;
    int good = 1;
    r->what = what;
    r->restart = what->restart;
    for (int i = 0; i < TABLES && good; i++) {
        good = (!what->means[i].counts || table_fill(&r->table[0][i], &what->means[i], MOST_DC)) &&
               (!what->waves[i].counts || table_fill(&r->table[1][i], &what->waves[i], 255));
    }
    for (int i = 0; i < what->count && good; i++) good = store_new(&r->store[i], &what->part[i], what);
    good = good && segments_read(r) && whole(r);
    for (int i = 0; i < what->count && good; i++) good = samples_make(&r->store[i], &what->part[i], what);
    for (int i = 0; i < what->count; i++) store_free(&r->store[i]);
    free(r);
    return good;
}
