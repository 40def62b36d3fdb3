/* What reading and writing blocks of 8 by 8 share: their order; and, for the processors of today, the steps of a transform of
 * two at once, one in each half of a vector. PLAIN leaves the latter out, for tests. */
#ifndef BLOCK_H
#define BLOCK_H

#include "planes.h"

enum { BLOCK_SIZE = 64 };

/* T.81, figure A.6: where a coefficient in natural order comes in the zigzag. */
static const uint8_t ZIGZAG[BLOCK_SIZE] = {
    0,  1,  5,  6,  14, 15, 27, 28, 2,  4,  7,  13, 16, 26, 29, 42, 3,  8,  12, 17, 25, 30, 41, 43, 9,  11, 18, 24, 31, 40, 44, 53,
    10, 19, 23, 32, 39, 45, 52, 54, 20, 22, 33, 38, 46, 51, 55, 60, 21, 34, 37, 47, 50, 56, 59, 61, 35, 36, 48, 49, 57, 58, 62, 63,
};

#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__) && !defined(PLAIN)
#include <immintrin.h>

#define MODERN __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))
#define MODERN_INLINE MODERN INLINE

static inline int is_modern(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
}

/* AMD's first two kinds of Zen take some hundred cycles for what others do in three: PDEP. */
static inline int spreads_slowly(void) { return __builtin_cpu_is("znver1") || __builtin_cpu_is("znver2"); }

/* Rows become columns, in both halves. */
MODERN_INLINE void turn_both(__m256i v[8]) {
    __m256i a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi16(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi16(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            b[i + 2 * j] = _mm256_unpacklo_epi32(a[i + j], a[i + j + 2]);
            b[i + 2 * j + 1] = _mm256_unpackhi_epi32(a[i + j], a[i + j + 2]);
        }
    for (int i = 0; i < 4; i++) {
        v[2 * i] = _mm256_unpacklo_epi64(b[i], b[i + 4]);
        v[2 * i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 4]);
    }
}

/* a * p + b * q, of 16 values each, as 32 bits in two halves. */
typedef struct {
    __m256i low, high;
} Sums;

MODERN_INLINE Sums sums(__m256i a, __m256i b, int p, int q) {
    __m256i by = _mm256_set1_epi32((int)((uint32_t)q << 16 | (p & 0xFFFF)));
    return (Sums){_mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), by), _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), by)};
}

MODERN_INLINE __m256i rounded(Sums a, Sums b, const int down) {
    __m256i half = _mm256_set1_epi32(1 << (down - 1));
    __m256i low = _mm256_add_epi32(_mm256_add_epi32(a.low, b.low), half);
    __m256i high = _mm256_add_epi32(_mm256_add_epi32(a.high, b.high), half);
    return _mm256_packs_epi32(_mm256_srai_epi32(low, down), _mm256_srai_epi32(high, down));
}
#endif

/* ---- idct.c ---- */

/* `count` blocks of one row, each 64 coefficients in natural order, as `size` by `size` samples (8, 4, 2 or 1); `flat` says of
 * each whether only its first is not 0, `steps` is the quantization table. */
typedef void Place(const int16_t *block, const uint8_t *flat, int count, const uint16_t *steps, int size, uint8_t *to,
                   size_t stride);

/* The one for this processor. */
Place *idct_choose(void);

/* ---- fdct.c ---- */

/* Samples of brightness or of one colour difference. There is memory for whole pairs of blocks, 16 by 8. */
typedef struct {
    int width, height;
    size_t stride;
    const uint8_t *data;
} Samples;

/* The blocks of one part, row by row. Bit k of `some` says that coefficient k (in zigzag order) of a block is not zero, of
 * `large` that it is more than 1 or less than -1. `value` holds those that are not zero, of all blocks one behind another:
 * a photo's are a fifth, and each scan goes through memory twice. The first of a block stands in `mean`. */
typedef struct {
    size_t blocks;
    int16_t *mean, *value;
    uint64_t *some, *large;
} Part;

void fdct_prepare(void);

/* 0 where there is not enough memory, or it was told to stop; to be freed all the same. `table`: for the quantization, in natural order. */
int part_new(Part *part, const Samples *samples, const uint16_t *table, Stop *stop);

void part_free(Part *part);

#endif
