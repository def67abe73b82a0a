/* Two copies of the library in one process, as a gem and a wheel would have: each with a SQLite of its own, on one
   file. The locks of a process would not keep the two apart; those of their descriptors do, also where both open the file
   and close it at the same moment. */
#include <dlfcn.h>
#include <pthread.h>

#include "check.h"

enum { LINKS = 1500, COPIES = 2, ROUNDS = 60 };

struct copy {
  __typeof__(&vidcache_options_init) options_init;
  __typeof__(&vidcache_open) open;
  __typeof__(&vidcache_link) link;
  __typeof__(&vidcache_resolve) resolve;
  __typeof__(&vidcache_verify) verify;
  __typeof__(&vidcache_text_free) text_free;
  __typeof__(&vidcache_free) free;
  __typeof__(&vidcache_last_error) last_error;
  const char *path;
  int64_t first;
  vidcache_handle *handle;
};

static void *find(void *library, const char *name)
{
  void *found = dlsym(library, name);
  CHECK(found != NULL);
  return found;
}

static struct copy load(const char *file)
{
  struct copy copy;
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  CHECK(library != NULL);
  *(void **)&copy.options_init = find(library, "vidcache_options_init");
  *(void **)&copy.open = find(library, "vidcache_open");
  *(void **)&copy.link = find(library, "vidcache_link");
  *(void **)&copy.resolve = find(library, "vidcache_resolve");
  *(void **)&copy.verify = find(library, "vidcache_verify");
  *(void **)&copy.text_free = find(library, "vidcache_text_free");
  *(void **)&copy.free = find(library, "vidcache_free");
  *(void **)&copy.last_error = find(library, "vidcache_last_error");
  return copy;
}

static vidcache_handle *opened(const struct copy *copy)
{
  vidcache_options options;
  vidcache_handle *handle = NULL;
  options.size = sizeof options;
  CHECK(copy->options_init(&options) == VIDCACHE_OK);
  options.secret = SECRET;
  options.secret_len = strlen(SECRET);
  CHECK(copy->open(copy->path, strlen(copy->path), PORTAL, &options, &handle) == VIDCACHE_OK);
  return handle;
}

/* Links the user to the contact of the same number. */
static void link_one(struct copy *copy, int64_t number)
{
  vidcache_user user = vidcache_user_id(number);
  vidcache_result result = copy->link(copy->handle, &user, number);
  if (result == VIDCACHE_OK) return;
  vidcache_error error;
  memset(&error, 0, sizeof error);
  error.size = sizeof error;
  copy->last_error(&error);
  fprintf(stderr, "copies: link %lld: %d, %s\n", (long long)number, (int)result, error.message ? error.message : "");
  abort();
}

static void *links(void *argument)
{
  struct copy *copy = argument;
  for (int64_t n = 0; n < LINKS; n++) link_one(copy, copy->first + n);
  copy->free(&copy->handle);
  return NULL;
}

/* Opens the file, which both make where there is none, links and closes, time and again. */
static void *opens_and_closes(void *argument)
{
  struct copy *copy = argument;
  for (int64_t n = 0; n < ROUNDS; n++) {
    copy->handle = opened(copy);
    link_one(copy, copy->first + n);
    copy->free(&copy->handle);
  }
  return NULL;
}

/* All of it is there, and the file is sound. */
static void has_links(const struct copy *copy, int64_t first, int64_t count)
{
  vidcache_handle *handle = opened(copy);
  for (int64_t n = first; n < first + count; n++) {
    vidcache_user user = vidcache_user_id(n);
    vidcache_identity identity;
    memset(&identity, 0, sizeof identity);
    CHECK(copy->resolve(handle, &user, &identity) == VIDCACHE_OK && identity.vid == n);
  }
  vidcache_text *problems = NULL;
  size_t wrong = 1;
  CHECK(copy->verify(handle, &problems, &wrong) == VIDCACHE_OK && wrong == 0);
  copy->text_free(&problems);
  copy->free(&handle);
}

static void at_once(struct copy copies[COPIES], void *(*work)(void *))
{
  pthread_t threads[COPIES];
  for (int n = 0; n < COPIES; n++) CHECK(pthread_create(&threads[n], NULL, work, &copies[n]) == 0);
  for (int n = 0; n < COPIES; n++) CHECK(pthread_join(threads[n], NULL) == 0);
}

int main(int count, char **arguments)
{
  CHECK(count == 2 + COPIES);
  struct copy copies[COPIES];
  for (int n = 0; n < COPIES; n++) {
    copies[n] = load(arguments[2 + n]);
    copies[n].path = path_in(arguments[1], "copies");
    copies[n].first = 1 + n * LINKS;
  }
  CHECK(copies[0].link != copies[1].link);
  at_once(copies, opens_and_closes);
  for (int n = 0; n < COPIES; n++) has_links(&copies[n], copies[n].first, ROUNDS);
  for (int n = 0; n < COPIES; n++) copies[n].handle = opened(&copies[n]);
  at_once(copies, links);
  has_links(&copies[1], 1, COPIES * LINKS);
  printf("copies: %d links by %d copies of the library at once, %d times opened by each at once, none lost\n",
         COPIES * LINKS, COPIES, ROUNDS);
  return 0;
}
