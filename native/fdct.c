/* Samples as blocks of quantized coefficients, for progressive.c: transform, quantize, keep what is not zero. Transform and
 * rounding are those of libjpeg's accurate integer method. */
#include "block.h"

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

void part_free(Part *part) {
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
INLINE int part_fill(Part *part, const Samples *samples, const Divisor *divisor, Quantize *quantize, Stop *stop) {
    size_t wide = (samples->width + 7) / 8, high = (samples->height + 7) / 8;
    int16_t *to = part->value, two[2 * BLOCK_SIZE];
    for (size_t y = 0, i = 0; y < high; y++) {
        if (stopped(stop)) return 0;
        for (size_t x = 0; x < wide; x++, i++) {
            if (x % 2 == 0) quantize(samples->data + 8 * (y * samples->stride + x), samples->stride, divisor, two);
            to = collect(two + x % 2 * BLOCK_SIZE, &part->mean[i], to, &part->some[i], &part->large[i]);
        }
    }
    return 1;
}

static int fill_plain(Part *part, const Samples *samples, const Divisor *divisor, Stop *stop) {
    return part_fill(part, samples, divisor, quantize_plain, stop);
}
static int (*fill)(Part *, const Samples *, const Divisor *, Stop *) = fill_plain;
#ifdef MODERN
MODERN static int fill_modern(Part *part, const Samples *samples, const Divisor *divisor, Stop *stop) {
    return part_fill(part, samples, divisor, quantize_modern, stop);
}
#endif

int part_new(Part *part, const Samples *samples, const uint16_t *table, Stop *stop) {
    Divisor divisor;
    for (int i = 0; i < BLOCK_SIZE; i++) {
        divisor.inverse[i] = (1 + 1.0 / (1 << 20)) / (8 * table[i]);
        divisor.half[i] = 4 * table[i];
    }
    part->blocks = bytes(up(samples->width, 8) / 8, up(samples->height, 8) / 8, 0);
    part->mean = allocate(part->blocks, sizeof *part->mean, 0);
    part->value = allocate(part->blocks, BLOCK_SIZE * sizeof *part->value, 0);  /* what is not used is never touched */
    part->some = allocate(part->blocks, sizeof *part->some, 0);
    part->large = allocate(part->blocks, sizeof *part->large, 0);
    if (!part->mean || !part->value || !part->some || !part->large) return 0;
    return fill(part, samples, &divisor, stop);
}

void fdct_prepare(void) {
#ifdef MODERN
    if (is_modern()) fill = fill_modern;
#endif
}
