/* A preload that moves a program's wall clock and leaves its monotonic clock alone: what a program sees after the
   machine has slept, or after somebody set the clock. The file that WALL_CLOCK names holds how far it is moved: an int64, in
   milliseconds, in the machine's byte order, negative for back. The file is mapped before main, so a sandbox that forbids
   opening files later does no harm, and a forked process keeps the mapping. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t unmoved;
static const volatile int64_t *moved_by = &unmoved;

__attribute__((constructor)) static void map_file(void) {
  const char *name = getenv("WALL_CLOCK");
  if (!name) return;
  int file = open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *memory = mmap(NULL, sizeof *moved_by, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (memory != MAP_FAILED) moved_by = memory;
}

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = (int)syscall(SYS_clock_gettime, clock, now);
  if (failed || !is_wall(clock)) return failed;
  int64_t milliseconds = *moved_by;
  now->tv_sec += milliseconds / 1000;
  now->tv_nsec += milliseconds % 1000 * 1000000;
  if (now->tv_nsec < 0) {
    now->tv_nsec += 1000000000;
    now->tv_sec -= 1;
  } else if (now->tv_nsec >= 1000000000) {
    now->tv_nsec -= 1000000000;
    now->tv_sec += 1;
  }
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone; /* obsolete, and nobody here asks for it */
  struct timespec precise;
  int failed = clock_gettime(CLOCK_REALTIME, &precise);
  if (!failed) *now = (struct timeval){.tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000};
  return failed;
}

time_t time(time_t *seconds) {
  struct timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise)) return (time_t)-1;
  if (seconds) *seconds = precise.tv_sec;
  return precise.tv_sec;
}
