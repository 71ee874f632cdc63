#include "team.h"

#include <algorithm>
#include <chrono>

#include "place.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace engine {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::microseconds spin_at_work{1000}, spin_at_rest{40}, spin_for_others{100};

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("yield");
#endif
}

int next_of(uint64_t ticket) { return int(ticket & 0xff); }
int parts_of(uint64_t ticket) { return int(ticket >> 8 & 0xff); }

}  // namespace

Team::Team(int threads) {
  threads = std::min({threads, usable_cpus(threads), 255});  // more would only take time from each other
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { help(i); });
}

Team::~Team() {
  ends_.store(true);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    woken_.notify_all();
  }
  for (std::thread& helper : helpers_) helper.join();
}

void Team::offer(int parts, const void* context, Call call) {
  busy_.store(true, std::memory_order_relaxed);
  caller_cpu_.store(current_cpu(), std::memory_order_relaxed);
  context_ = context;
  call_ = call;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t number = (ticket_.load(std::memory_order_relaxed) >> 16) + 1;
  ticket_.store(number << 16 | uint64_t(parts) << 8);  // in the total order: before the look at the sleepers
  if (sleepers_.load() > 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    woken_.notify_all();
  }
  while (take(0)) {
  }
  const auto patience = Clock::now() + spin_for_others;
  while (done_.load(std::memory_order_acquire) != parts) {
    for (int i = 0; i < 64 && done_.load(std::memory_order_acquire) != parts; ++i) pause();
    if (Clock::now() > patience) std::this_thread::yield();  // a helper was stopped in the middle of its part
  }
}

// Takes and runs one part, if one is left.
bool Team::take(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  do {
    if (next_of(ticket) >= parts_of(ticket)) return false;
  } while (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  call_(context_, next_of(ticket), thread);
  done_.fetch_add(1, std::memory_order_release);
  return true;
}

void Team::help(int thread) {
  auto last = Clock::now();
  while (!ends_.load(std::memory_order_relaxed)) {
    const int cpu = current_cpu();
    if (cpu >= 0 && cpu == caller_cpu_.load(std::memory_order_relaxed)) keep_off_cpu(cpu);
    bool found = false;
    for (int i = 0; i < 64 && !found; ++i) {
      found = take(thread);
      if (!found) pause();
    }
    const auto now = Clock::now();
    if (found)
      last = now;
    else if (now - last > (busy_.load(std::memory_order_relaxed) ? spin_at_work : spin_at_rest))
      last = (sleep(), Clock::now());
  }
}

void Team::sleep() {
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  woken_.wait(lock, [this] {
    const uint64_t ticket = ticket_.load();
    return ends_.load() || next_of(ticket) < parts_of(ticket);
  });
  sleepers_.fetch_sub(1);
}

}  // namespace engine
