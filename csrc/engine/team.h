// Threads that help the calling thread with the parts of its work.
//
// The caller offers parts, takes parts itself like everybody else, and goes on when all are done. It never waits for a
// helper to arrive: a helper that the system has not scheduled yet (or that sleeps) costs nothing but its help. While the
// caller is at work the helpers spin, because the next parts follow within microseconds; soon after rest() they sleep
// until they are woken, so an idle team uses no processor time. A helper that finds itself on the caller's processor, where
// schedulers like to put the woken beside the waker, moves to another: there it would only take time from the caller.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace engine {

class Team {
 public:
  explicit Team(int threads);  // the caller included; at most 255
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return int(helpers_.size()) + 1; }

  // Runs work(part, thread) for every part, each once, on any thread (0: the caller). `work` must not throw.
  template <class Work>
  void share(int parts, const Work& work) {
    if (parts == 1 || helpers_.empty()) {
      for (int part = 0; part < parts; ++part) work(part, 0);
      return;
    }
    offer(parts, &work, [](const void* context, int part, int thread) {
      (*static_cast<const Work*>(context))(part, thread);
    });
  }

  // Says that nothing follows soon.
  void rest() { busy_.store(false, std::memory_order_relaxed); }

 private:
  using Call = void (*)(const void*, int, int);

  void offer(int parts, const void* context, Call call);
  void help(int thread);
  bool take(int thread);
  void sleep();

  // The offer's number (upper bits), its parts, and the next part to take, in one word, so that a part can only be taken
  // from the offer that was seen.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> done_{0}, sleepers_{0}, caller_cpu_{-1};
  std::atomic<bool> busy_{false}, ends_{false};
  const void* context_ = nullptr;
  Call call_ = nullptr;
  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<std::thread> helpers_;
};

}  // namespace engine
