/* Every allocation of SQLite's fails, one after the other: a code each time, and what was acknowledged is there.
 * Linked to the archive that cargo makes, in which SQLite's own names can still be reached. */
#include "check.h"

#include <unistd.h>

/* From sqlite3.h, whose numbers are as old as version 3. */
typedef struct sqlite3_mem_methods {
  void *(*xMalloc)(int);
  void (*xFree)(void *);
  void *(*xRealloc)(void *, int);
  int (*xSize)(void *);
  int (*xRoundup)(int);
  int (*xInit)(void *);
  void (*xShutdown)(void *);
  void *pAppData;
} sqlite3_mem_methods;
extern int sqlite3_config(int option, ...);
enum { CONFIG_MALLOC = 4, CONFIG_GETMALLOC = 5 };

static sqlite3_mem_methods usual;
static long left = -1, asked;

static int fails(void)
{
  asked++;
  return left >= 0 && left-- == 0;
}
static void *allocate(int size) { return fails() ? NULL : usual.xMalloc(size); }
static void *reallocate(void *pointer, int size) { return fails() ? NULL : usual.xRealloc(pointer, size); }

/* Opens, writes and reads. Returns how many calls failed; what succeeded is checked by the caller. */
static int work(const char *path, int64_t vid, bool *linked)
{
  int failed = 0;
  vidcache_handle *cache = NULL;
  vidcache_user user = vidcache_user_id(vid);
  *linked = false;
  vidcache_result opened = vidcache_open(path, strlen(path), PORTAL, NULL, &cache);
  if (opened != VIDCACHE_OK) {
    CHECK(cache == NULL && (opened == VIDCACHE_CANNOT_OPEN || opened == VIDCACHE_STORAGE));
    return 1;
  }
  vidcache_result result = vidcache_link(cache, &user, vid);
  CHECK(result == VIDCACHE_OK || result == VIDCACHE_STORAGE || result == VIDCACHE_CANNOT_OPEN);
  failed += result != VIDCACHE_OK;
  *linked = result == VIDCACHE_OK;
  vidcache_identity identity;
  result = vidcache_resolve(cache, &user, &identity);
  CHECK(result == VIDCACHE_OK || result == VIDCACHE_STORAGE || result == VIDCACHE_CANNOT_OPEN);
  failed += result != VIDCACHE_OK;
  if (result == VIDCACHE_OK && *linked) EQUAL(vid, identity.vid);
  vidcache_free(&cache);
  return failed;
}

int main(int count, char **arguments)
{
  CHECK(count == 2);
  EQUAL(0, sqlite3_config(CONFIG_GETMALLOC, &usual));
  sqlite3_mem_methods ours = usual;
  ours.xMalloc = allocate;
  ours.xRealloc = reallocate;
  EQUAL(0, sqlite3_config(CONFIG_MALLOC, &ours));

  const char *path = path_in(arguments[1], "allocation");
  bool linked;
  EQUAL(0, work(path, 1, &linked));
  asked = 0;
  EQUAL(0, work(path, 2, &linked));
  const long needed = asked;
  long struck = 0, faults = 0;
  /* Some 400 places, spread over the run. */
  for (long n = 0; n < needed; n += 1 + needed / 400) {
    left = n;
    const int failed = work(path, 10 + n, &linked);
    left = -1;
    faults++;
    struck += failed > 0;
    if (!linked) continue;
    vidcache_handle *cache = NULL;
    vidcache_user user = vidcache_user_id(10 + n);
    vidcache_identity identity;
    EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, NULL, &cache));
    EQUAL(VIDCACHE_OK, vidcache_resolve(cache, &user, &identity));
    EQUAL(10 + n, identity.vid);
    vidcache_free(&cache);
  }
  CHECK(struck > 0);
  printf("allocation: %ld of %ld allocations failed, in %ld of them a call with them\n", faults, needed, struck);
  return 0;
}
