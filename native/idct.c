/* Blocks of coefficients as samples, at 1/1, 1/2, 1/4 or 1/8, for baseline.c: those of libjpeg's accurate integer method, to
 * the last bit, also at the smaller scales. */
#include "block.h"

#include <string.h>

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

Place *idct_choose(void) {
#ifdef MODERN
    if (is_modern()) return place_modern;
#endif
    return place_plain;
}
