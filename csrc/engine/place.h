// On which processor a thread runs, and how it leaves it. Elsewhere than on Linux nothing is known and nothing is done.
#pragma once

#if defined(__linux__)
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#endif

namespace engine {

// The processor that the calling thread runs on, or -1.
inline int current_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// How many processors the calling thread may use, or `unknown`.
inline int usable_cpus(int unknown) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
#endif
  return unknown;
}

// Moves the calling thread to another processor than `cpu`, if it may use any. It is free to be moved again.
inline void leave_cpu(int cpu) {
#if defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  cpu_set_t others = allowed;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0)
    sched_setaffinity(0, sizeof allowed, &allowed);
#else
  (void)cpu;
#endif
}

}  // namespace engine
