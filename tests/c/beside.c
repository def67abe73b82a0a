/* A program with a SQLite of its own, linked to the archive: neither gets the other's. Only the names matter here. */
#include "check.h"

int sqlite3_open_v2(const char *name, void **database, int flags, const char *vfs);
int sqlite3_initialize(void);

static int asked;

/* If the library's own calls came here, nothing would open. */
int sqlite3_open_v2(const char *name, void **database, int flags, const char *vfs)
{
  (void)name, (void)database, (void)flags, (void)vfs;
  asked++;
  return 1;
}

int sqlite3_initialize(void) { return asked++, 1; }

int main(int count, char **arguments)
{
  CHECK(count == 2);
  vidcache_handle *cache = open_cache(path_in(arguments[1], "beside"));
  vidcache_user user = vidcache_user_id(1);
  EQUAL(VIDCACHE_OK, vidcache_link(cache, &user, 2));
  vidcache_free(&cache);
  EQUAL(0, asked);
  puts("beside: its own SQLite was not asked");
  return 0;
}
