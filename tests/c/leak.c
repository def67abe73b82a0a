/* A leak that was put here: the checks of leaks must end with an error for it. */
#include "check.h"

int main(int count, char **arguments)
{
  CHECK(count == 2);
  vidcache_handle *cache = open_cache(path_in(arguments[1], "leak"));
  vidcache_text *problems = NULL;
  size_t found = 0;
  EQUAL(VIDCACHE_OK, vidcache_verify(cache, &problems, &found));
  problems = NULL; /* should have been freed */
  vidcache_free(&cache);
  return 0;
}
