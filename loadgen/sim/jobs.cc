#include "loadgen/sim/jobs.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/coding.h"
#include "loadgen/sim/grpc_server.h"

namespace coppice::sim {
namespace {

// --- A result as bytes.

std::string Encode(const RunResult& run) {
  std::string out;
  out.push_back(run.valid ? 1 : 0);
  for (const std::uint64_t number : {run.trace_hash, run.events, run.succeeded}) PutLe(out, number);
  PutText(out, run.plan);
  PutLe(out, static_cast<std::uint32_t>(run.violations.size()));
  for (const Violation& violation : run.violations) {
    PutText(out, violation.property);
    PutText(out, violation.what);
  }
  for (const auto& [name, count] : run.coverage.counts()) {
    PutText(out, name);
    PutLe(out, count);
  }
  return out;
}

template <typename Int>
Int Take(std::string_view& bytes) {
  const Int value = GetLe<Int>(bytes.data());
  bytes.remove_prefix(sizeof(Int));
  return value;
}

RunResult Decode(std::string_view bytes) {
  RunResult run;
  run.valid = bytes[0] != 0;
  bytes.remove_prefix(1);
  run.trace_hash = Take<std::uint64_t>(bytes);
  run.events = Take<std::uint64_t>(bytes);
  run.succeeded = Take<std::uint64_t>(bytes);
  run.plan = TakeText(bytes);
  for (auto left = Take<std::uint32_t>(bytes); left > 0; --left) {
    const std::string property(TakeText(bytes));
    run.violations.push_back({property, std::string(TakeText(bytes))});
  }
  while (!bytes.empty()) {
    const std::string name(TakeText(bytes));
    run.coverage.Add(name, Take<std::uint64_t>(bytes));
  }
  return run;
}

bool ReadAll(int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::read(fd, data, size);
    if (n <= 0) return false;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

void WriteAll(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

using Run = std::function<RunResult(std::uint64_t seed)>;

[[noreturn]] void Work(int fd, const Run& run) {
  std::uint64_t seed = 0;
  while (ReadAll(fd, reinterpret_cast<char*>(&seed), sizeof seed)) {
    const std::string bytes = Encode(run(seed));
    std::string message;
    PutLe(message, static_cast<std::uint32_t>(bytes.size()));
    WriteAll(fd, message + bytes);
  }
  ::_exit(0);
}

// --- The parent's side.

class Worker {
 public:
  explicit Worker(Run run) : run_(std::move(run)) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  int fd() const { return fd_; }
  bool busy() const { return busy_; }
  bool late(int seconds_max) const { return busy_ && std::time(nullptr) - began_ > seconds_max; }

  void Begin(std::uint64_t seed, bool again) {
    if (pid_ < 0) Fork();
    result_ = {};
    result_.seed = seed;
    result_.again = again;
    busy_ = true;
    began_ = std::time(nullptr);
    WriteAll(fd_, {reinterpret_cast<const char*>(&seed), sizeof seed});
  }
  // There is something to read, or the worker is dead.
  SeedResult Take() {
    busy_ = false;
    std::uint32_t size = 0;
    std::string bytes;
    bool good = ReadAll(fd_, reinterpret_cast<char*>(&size), sizeof size);
    if (good) {
      bytes.resize(size);
      good = ReadAll(fd_, bytes.data(), size);
    }
    if (good) {
      result_.run = Decode(bytes);
    } else {
      int status = 0;
      ::waitpid(std::exchange(pid_, -1), &status, 0);
      ::close(fd_);
      result_.crash = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                          : fmt::format("exit {}", WEXITSTATUS(status));
      if (const std::string words = LastWords(); !words.empty()) result_.crash += ", " + words;
    }
    return std::move(result_);
  }
  void Hang() {
    ::kill(pid_, SIGKILL);
    hung_ = true;
  }
  bool TakeHung() { return std::exchange(hung_, false); }

 private:
  void Fork() {
    int fds[2];
    COPPICE_CHECK(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    if (said_ >= 0) ::close(said_);
    said_ = ::memfd_create("stderr", MFD_CLOEXEC);
    COPPICE_CHECK(said_ >= 0);
    pid_ = ::fork();
    COPPICE_CHECK(pid_ >= 0);
    if (pid_ == 0) {
      ::close(fds[0]);
      ::dup2(said_, STDERR_FILENO);
      Work(fds[1], run_);
    }
    ::close(fds[1]);
    fd_ = fds[0];
  }
  // The last line of what it wrote to stderr: an invariant that was broken, mostly.
  std::string LastWords() const {
    char buffer[2000];
    const off_t size = ::lseek(said_, 0, SEEK_END);
    const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof buffer));
    const ssize_t n = ::pread(said_, buffer, sizeof buffer, from);
    std::string_view text(buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    return std::string(text.substr(text.rfind('\n') + 1));
  }
  void Stop() {
    if (said_ >= 0) ::close(said_);
    if (pid_ < 0) return;
    ::close(fd_);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  const Run run_;
  pid_t pid_ = -1;
  int fd_ = -1;
  int said_ = -1;  // its stderr, in memory
  bool busy_ = false;
  bool hung_ = false;
  std::time_t began_ = 0;
  SeedResult result_;
};

}  // namespace

void RunJobs(const JobOptions& options,
             const std::function<bool(std::uint64_t& seed, bool& again)>& next,
             const std::function<void(const SeedResult&)>& done) {
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < options.jobs; ++i) workers.push_back(std::make_unique<Worker>(options.run));
  for (;;) {
    std::vector<pollfd> waits;
    std::vector<Worker*> busy;
    for (const auto& worker : workers) {
      std::uint64_t seed = 0;
      bool again = false;
      if (!worker->busy() && next(seed, again)) worker->Begin(seed, again);
      if (!worker->busy()) continue;
      waits.push_back({worker->fd(), POLLIN, 0});
      busy.push_back(worker.get());
    }
    if (busy.empty()) return;
    ::poll(waits.data(), waits.size(), 1000);
    for (std::size_t i = 0; i < busy.size(); ++i) {
      if (waits[i].revents == 0) {
        if (busy[i]->late(options.seconds_max)) busy[i]->Hang();
        continue;
      }
      SeedResult result = busy[i]->Take();
      if (busy[i]->TakeHung()) {
        result.crash = fmt::format("not done after {} s of real time", options.seconds_max);
      }
      done(result);
    }
  }
}

}  // namespace coppice::sim
