/* What reading the scans of a JPEG stands on: bits, and the codes that they make (ITU-T T.81, annexes C and F). */
#ifndef HUFFMAN_H
#define HUFFMAN_H

#include "block.h"

enum {
    LONGEST_CODE = 16,
    LOOK = 10,         /* bits that one look is for */
    UNIT_BYTES = 2048, /* that may be read without looking how many there are */
    ROOM = 16384,
};

/* A Huffman table as a file has it: how many codes there are of each length from 1 on, at counts[1], and their symbols. */
typedef struct {
    const uint8_t *counts, *symbols;
} Codes;

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

static inline void bits_start(Bits *b) {
    b->bits = 0;
    b->count = b->ended = 0;
    b->at = b->filled = 0;
}

static inline void bits_more(Bits *b) {
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
static inline long bits_left(const Bits *b) { return 8 * ((long)b->filled - (long)b->at) + b->count; }

/* Whether the data ends here, but for what fills the last byte, and the marker `code` follows, which is passed. */
static inline int bits_end(Bits *b, int code) {
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

#define TAKE(length)                                                                                                   \
    bits <<= (length);                                                                                                 \
    count -= (length)

/* T.81, figure F.12: what the first `size` bits mean; without a branch, since which it is cannot be foreseen. */
INLINE int value_of(uint64_t bits, int size) {
    int64_t below = ~((int64_t)bits >> 63); /* all ones where the first bit is 0 */
    return (int)((int64_t)(bits >> 1 >> (63 - size)) - (below & ((1ll << size) - 1)));
}

/* ---- Codes ----------------------------------------------------------------------------------------------------- */

typedef struct {
    int32_t first[LONGEST_CODE + 1];  /* the first code of each length */
    int32_t behind[LONGEST_CODE + 1]; /* the code behind the last one of each length; 0 where there is none */
    int32_t shift[LONGEST_CODE + 1];  /* from a code of this length to the place of its symbol */
    uint8_t symbol[256];
} Book;

/* 0 where it is no table of codes. `most`: the largest symbol allowed. */
static inline int book_fill(Book *book, const Codes *codes, int most) {
    int code = 0, count = 0;
    for (int length = 1; length <= LONGEST_CODE; length++, code <<= 1) {
        int of_length = codes->counts[length];
        if (count + of_length > 256 || code + of_length >= 1 << length) return 0; /* all ones is no code */
        book->first[length] = code;
        book->shift[length] = count - code;
        for (int i = 0; i < of_length; i++, code++, count++)
            if ((book->symbol[count] = codes->symbols[count]) > most) return 0;
        book->behind[length] = of_length ? code : 0;
    }
    return 1;
}

/* The length of the code that the bits begin with, which has more than LOOK, and its symbol; 0 where there is none. */
static inline int book_find(const Book *book, uint64_t bits, int *symbol) {
    for (int l = LOOK + 1; l <= LONGEST_CODE; l++) {
        int code = (int)(bits >> (64 - l));
        if (code < book->behind[l]) {
            *symbol = book->symbol[code + book->shift[l]];
            return l;
        }
    }
    return 0;
}

#endif
