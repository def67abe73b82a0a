/*
 * A look-up that memory answers, a decision and a snippet allocate nothing: every allocation of the process is counted.
 */
#include "check.h"

#include <errno.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static size_t allocations;

void *malloc(size_t size) { return allocations++, __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return allocations++, __libc_calloc(count, size); }
void *realloc(void *pointer, size_t size) { return allocations++, __libc_realloc(pointer, size); }
void *memalign(size_t alignment, size_t size) { return allocations++, __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { return allocations++, __libc_memalign(alignment, size); }
int posix_memalign(void **pointer, size_t alignment, size_t size)
{
  allocations++;
  *pointer = __libc_memalign(alignment, size);
  return *pointer ? 0 : ENOMEM;
}

int main(int count, char **arguments)
{
  CHECK(count == 2);
  vidcache_handle *cache = open_cache(path_in(arguments[1], "unallocated"));
  CHECK(allocations > 0); /* they are counted */
  vidcache_user user = vidcache_user_id(42), text = vidcache_user_text(STR("0188d3c4-5e6f-7a8b-9c0d-1e2f3a4b5c6d"));
  vidcache_recorded recorded;
  vidcache_identity identity;
  vidcache_decision decision;
  bool known;
  char buffer[4096];
  size_t length;
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &user, STR(ANSWER("901", "ann@shop.test", "00")), 0, &recorded));
  EQUAL(VIDCACHE_OK, vidcache_record(cache, &text, STR(ANSWER("902", "bea@shop.test", "00")), 0, &recorded));
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
  EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &text, &identity));
  EQUAL(VIDCACHE_OK, vidcache_snippet(cache, &user, NULL, 0, NULL, 0, buffer, sizeof buffer, &length));

  const size_t before = allocations;
  for (int round = 0; round < 1000; round++) {
    EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
    EQUAL(901, identity.vid);
    EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &text, &identity));
    EQUAL(902, identity.vid);
    EQUAL(VIDCACHE_OK, vidcache_recall(cache, &user, &identity, &known));
    EQUAL(VIDCACHE_OK, vidcache_decide(cache, &user, STR("ann@shop.test"), &decision));
    EQUAL(VIDCACHE_REASON_AGREED, decision.reason);
    EQUAL(VIDCACHE_OK,
          vidcache_snippet(cache, &user, STR("ann@shop.test"), STR("n0nce"), buffer, sizeof buffer, &length));
    EQUAL(VIDCACHE_OK, vidcache_anonymous_snippet(cache, STR("n0nce"), buffer, sizeof buffer, &length));
    EQUAL(VIDCACHE_OK, vidcache_signed_out_snippet(cache, STR("n0nce"), buffer, sizeof buffer, &length));
  }
  EQUAL(before, allocations);
  vidcache_free(&cache);
  puts("unallocated: 7000 calls, no allocation");
  return 0;
}
