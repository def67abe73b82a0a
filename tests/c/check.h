/* What every C test here has: a folder of its own, and a check that says what it found. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vidcache.h>

#define PORTAL 62515
#define SECRET "thirty-two bytes kept out of it."
#define STR(text) (text), (sizeof(text) - 1)
#define ANSWER(vid, email, second) \
  "{\"id\":\"" vid "\",\"properties\":{\"email\":\"" email "\"},\"updatedAt\":\"2026-03-01T10:00:" second ".000Z\"}"

#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      abort(); \
    } \
  } while (0)

#define EQUAL(expected, found) check_equal((int64_t)(expected), (int64_t)(found), __FILE__, __LINE__, #found)

static inline void check_equal(int64_t expected, int64_t found, const char *file, int line, const char *what)
{
  if (expected == found) return;
  vidcache_error error;
  memset(&error, 0, sizeof error);
  error.size = sizeof error;
  vidcache_last_error(&error);
  fprintf(stderr, "%s:%d: %s is %lld, not %lld (the last error of the thread: %d, %s)\n", file, line, what,
          (long long)found, (long long)expected, (int)error.code, error.message ? error.message : "");
  abort();
}

/* The folder that the test was given, with a file's name in it. */
static inline const char *path_in(const char *folder, const char *name)
{
  static char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s", folder, name);
  CHECK(length > 0 && (size_t)length < sizeof path);
  return path;
}

/* The defaults, and the tests' secret. */
static inline vidcache_options with_secret(void)
{
  vidcache_options options;
  options.size = sizeof options;
  EQUAL(VIDCACHE_OK, vidcache_options_init(&options));
  options.secret = SECRET;
  options.secret_len = strlen(SECRET);
  return options;
}

static inline vidcache_handle *open_cache(const char *path)
{
  const vidcache_options options = with_secret();
  vidcache_handle *handle = NULL;
  EQUAL(VIDCACHE_OK, vidcache_open(path, strlen(path), PORTAL, &options, &handle));
  CHECK(handle != NULL);
  return handle;
}

#endif
