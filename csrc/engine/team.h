// Threads that walk through the same work side by side and meet at barriers.
//
// Whoever waits spins for a few microseconds only (the stages of a network follow each other that fast) and then sleeps
// until woken, so an idle team uses no processor time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace engine {

class Team {
 public:
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  int size() const { return threads_; }

  // Runs work(thread) on every thread, the caller being thread 0; returns when all are done. `work` may meet at wait().
  void run(const std::function<void(int)>& work);

  // Returns when every thread of the running work has called it.
  void wait();

 private:
  void serve(int thread);

  const int threads_;
  std::atomic<int> arrived_{0}, sleepers_{0};
  std::atomic<unsigned> phase_{0};
  std::mutex mutex_;
  std::condition_variable woken_;
  const std::function<void(int)>* work_ = nullptr;  // null: the team ends
  std::vector<std::thread> helpers_;
};

}  // namespace engine
