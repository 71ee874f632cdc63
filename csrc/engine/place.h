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

// Keeps the calling thread off the processor `cpu` from now on, if it may use any other, and lets it use again what
// an earlier call kept it off. It stays so, or every wake would bring it back.
inline void keep_off_cpu(int cpu) {
#if defined(__linux__)
  thread_local cpu_set_t usable;
  thread_local bool known = false;
  if (!known) known = sched_getaffinity(0, sizeof usable, &usable) == 0;
  cpu_set_t others = usable;
  CPU_CLR(cpu, &others);
  if (known && CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof others, &others);
#else
  (void)cpu;
#endif
}

}  // namespace engine
