/* The library loaded, used and unloaded, time and again, with a fork after each: by the main thread, by threads that
   end before the unloading, and by ones that end after it. With "deep" it is loaded as PHP loads its extensions, bound
   to its own names first: then an allocator that is preloaded is not the library's, and neither may free what is the
   other's. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifndef RTLD_DEEPBIND /* musl: there is one order in which names are looked up. */
#define RTLD_DEEPBIND 0
#endif

enum { ROUNDS = 12 };

static const char *path;
static void *library;
static sem_t used, unloaded;

static void *find(const char *name)
{
  void *found = dlsym(library, name);
  CHECK(found != NULL);
  return found;
}

static void use(void)
{
  __typeof__(&vidcache_open) open_it;
  __typeof__(&vidcache_link) link_it;
  __typeof__(&vidcache_resolve) resolve_it;
  __typeof__(&vidcache_free) free_it;
  *(void **)&open_it = find("vidcache_open");
  *(void **)&link_it = find("vidcache_link");
  *(void **)&resolve_it = find("vidcache_resolve");
  *(void **)&free_it = find("vidcache_free");
  vidcache_handle *handle = NULL;
  CHECK(open_it(path, strlen(path), PORTAL, NULL, &handle) == VIDCACHE_OK);
  vidcache_user user = vidcache_user_id(1);
  vidcache_identity identity;
  memset(&identity, 0, sizeof identity);
  CHECK(link_it(handle, &user, 901) == VIDCACHE_OK);
  CHECK(resolve_it(handle, &user, &identity) == VIDCACHE_OK && identity.vid == 901);
  /* What a failure leaves behind is the thread's, and outlives the call. */
  CHECK(link_it(handle, &user, -1) == VIDCACHE_INVALID_VID);
  free_it(&handle);
}

static void *uses(void *ends_after)
{
  use();
  CHECK(sem_post(&used) == 0);
  if (ends_after) CHECK(sem_wait(&unloaded) == 0);
  return NULL;
}

/* fork runs what is left of the library's handlers: there must be none of code that is gone. */
static void forks(void)
{
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(0);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int count, char **arguments)
{
  CHECK(count == 3 || count == 4);
  const char *file = arguments[2];
  const int deep = count == 4 && strcmp(arguments[3], "deep") == 0;
  path = path_in(arguments[1], "unload");
  CHECK(sem_init(&used, 0, 0) == 0 && sem_init(&unloaded, 0, 0) == 0);
  int gone = 0;
  for (int round = 0; round < ROUNDS; round++) {
    library = dlopen(file, RTLD_NOW | RTLD_LOCAL | (deep ? RTLD_DEEPBIND : 0));
    if (library == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(library != NULL);
    /* 1: a thread that ends before; 2: one that ends after; 0: the main thread, which never ends. */
    const int who = round < ROUNDS / 2 ? 1 : round % 3;
    pthread_t thread;
    if (who == 0) use();
    else {
      CHECK(pthread_create(&thread, NULL, uses, who == 2 ? &unloaded : NULL) == 0);
      CHECK(sem_wait(&used) == 0);
      if (who == 1) CHECK(pthread_join(thread, NULL) == 0);
    }
    CHECK(dlclose(library) == 0);
    void *still = dlopen(file, RTLD_NOW | RTLD_NOLOAD);
    if (still == NULL) gone++;
    else CHECK(dlclose(still) == 0);
    forks();
    if (who == 2) CHECK(sem_post(&unloaded) == 0 && pthread_join(thread, NULL) == 0);
  }
  printf("unload: %d times loaded%s, %d times gone after it, a fork after each\n", ROUNDS, deep ? " deep" : "", gone);
  return 0;
}
