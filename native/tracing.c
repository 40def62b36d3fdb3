/* Which steps the core has taken, each by a hash of both ends: native/fuzz.py keeps the pictures that lead to new ones.
 * The compiler calls this at each branch (-fsanitize-coverage=trace-pc). */
#include <stdint.h>

uint8_t steps_taken[1 << 16];
static uintptr_t before;

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void) {
    uintptr_t here = (uintptr_t)__builtin_return_address(0);
    steps_taken[(here ^ before) & (sizeof steps_taken - 1)] = 1;
    before = here >> 1;
}
