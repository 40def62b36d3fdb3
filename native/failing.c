/* For native/fuzz.py and the tests: memory that runs out, and a clock that goes on when it is looked at.
 *
 * Memory runs out when it is told to: preloaded before all other libraries, a sanitizer's too, it lets one allocation of
 * this thread fail, which `fail_at` names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

static __thread long left __attribute__((tls_model("initial-exec")));  /* allocations up to the one that fails */

/* The allocation of this number from here on fails; 0: none. Gives 0 where the one named before has failed. */
long fail_at(long number) {
    long was = left;
    left = number;
    return was;
}

static int fails(void) { return left && !--left; }

/* Whose turn it is else: a sanitizer's, which is there before anything can be looked up; or the C library's. */
#define PASS_ON(name, ...)                                                                                             \
    extern __typeof__(name) __interceptor_##name __attribute__((weak));                                               \
    static __typeof__(name) *next;                                                                                     \
    if (!next) next = __interceptor_##name ? __interceptor_##name : (__typeof__(next))dlsym(RTLD_NEXT, #name);         \
    return fails() ? NULL : next(__VA_ARGS__)

void *malloc(size_t size) { PASS_ON(malloc, size); }
void *realloc(void *old, size_t size) { PASS_ON(realloc, old, size); }
void *calloc(size_t count, size_t size) { PASS_ON(calloc, count, size); }

/* In place of clock_gettime, where the core is compiled with -Dclock_gettime=ticking: a second passes with each look, so that a
 * call that may take n seconds ends at its n-th look. */
long ticks;

int ticking(clockid_t clock, struct timespec *now) {
    (void)clock;
    *now = (struct timespec){.tv_sec = ++ticks};
    return 0;
}
