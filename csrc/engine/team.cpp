#include "team.h"

#include <chrono>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace engine {

namespace {

constexpr std::chrono::microseconds longest_spin{40};

void pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  asm volatile("yield");
#endif
}

}  // namespace

Team::Team(int threads) : threads_(threads) {
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { serve(i); });
}

Team::~Team() {
  if (helpers_.empty()) return;
  work_ = nullptr;
  wait();
  for (std::thread& helper : helpers_) helper.join();
}

void Team::run(const std::function<void(int)>& work) {
  if (threads_ == 1) return work(0);
  work_ = &work;
  wait();
  work(0);
  wait();
}

void Team::serve(int thread) {
  for (;;) {
    wait();
    if (!work_) return;
    (*work_)(thread);
    wait();
  }
}

void Team::wait() {
  const unsigned phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1);
    if (sleepers_.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      woken_.notify_all();
    }
    return;
  }
  const auto deadline = std::chrono::steady_clock::now() + longest_spin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (phase_.load(std::memory_order_acquire) != phase) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  std::unique_lock<std::mutex> lock(mutex_);
  sleepers_.fetch_add(1);
  woken_.wait(lock, [&] { return phase_.load() != phase; });
  sleepers_.fetch_sub(1);
}

}  // namespace engine
