#include "voter/first_start.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <optional>
#include <utility>

#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/node/data_dir.h"

namespace coppice::voter {
namespace {

std::string FolderOf(const VoterOptions& options) {
  return options.data_dir + "/member";
}

bool HasLog(io::Disk& disk, const std::string& folder) {
  const auto names = disk.List(folder + "/wal");
  return names.ok() && std::any_of(names->begin(), names->end(),
                                   [](const std::string& name) { return name.ends_with(".wal"); });
}

// The folders of `path` that are not there, the innermost first.
std::vector<std::string> Missing(io::Disk& disk, std::string path) {
  std::vector<std::string> missing;
  while (!path.empty() && disk.List(path).status().code() == StatusCode::kNotFound) {
    missing.push_back(path);
    const std::size_t slash = path.rfind('/');
    path.resize(slash == std::string::npos ? 0 : slash);
  }
  return missing;
}

}  // namespace

StatusOr<bool> FirstStart::IsDue(const VoterOptions& options, io::Disk& disk) {
  COPPICE_ASSIGN_OR_RETURN(const Cluster cluster, ClusterOf(options));
  COPPICE_RETURN_IF_ERROR(node::CheckVoterDirectory(disk, options.data_dir));
  if (cluster.voters.size() == 1) return false;
  const std::string folder = FolderOf(options);
  const bool has_log = HasLog(disk, folder);
  COPPICE_ASSIGN_OR_RETURN(const auto found,
                           Directories::Load(disk, folder, {cluster.id, cluster.self}));
  if (!found && has_log) {
    return MakeStatus(StatusCode::kFailedPrecondition,
                      fmt::format("{0}/wal is there and {1} is not: put it back, or restore the "
                                  "directory from a copy",
                                  folder, Directories::FileIn(folder)));
  }
  if (found && found->stage() == Directories::Stage::kTakesPart && !has_log) {
    return MakeStatus(StatusCode::kFailedPrecondition,
                      fmt::format("{}/wal, the log that this voter has taken part with, is not "
                                  "there: put the log back",
                                  folder));
  }
  return !found || found->stage() == Directories::Stage::kAsking;
}

FirstStart::FirstStart(const VoterOptions& options, node::Host& host, io::Loop& loop,
                       io::Disk& disk)
    : options_(options), host_(host), loop_(loop), disk_(disk), folder_(FolderOf(options)) {}

FirstStart::~FirstStart() = default;

void FirstStart::Start(Admission::Done done) {
  done_ = std::move(done);
  if (const Status status = Open(); !status.ok()) return Finish(status);
  admission_->Start([this](const Status& status) {
    Finish(status.ok() ? directories_->SetStage(Directories::Stage::kAdmitted) : status);
  });
}

Status FirstStart::Open() {
  COPPICE_ASSIGN_OR_RETURN(const Cluster cluster, ClusterOf(options_));
  made_ = Missing(disk_, folder_);
  COPPICE_RETURN_IF_ERROR(node::CreateDataDirectory(disk_, folder_));
  COPPICE_ASSIGN_OR_RETURN(lock_, disk_.Lock(folder_ + "/lock"));
  const Directories::Owner owner{cluster.id, cluster.self};
  COPPICE_ASSIGN_OR_RETURN(directories_, Directories::Load(disk_, folder_, owner));
  if (!directories_) {
    COPPICE_ASSIGN_OR_RETURN(directories_,
                             Directories::Make(disk_, folder_, owner, host_.RandomId()));
  }
  io::TransportOptions transport;
  transport.peer_secret = options_.flags.peer_secret;
  transport.hello.cluster_id = cluster.id;
  transport.hello.node_id = cluster.self.value();
  transport.hello.boot_nonce = host_.RandomId();
  transport.hello.directory_id = directories_->own();
  transport.hello.role = io::ProcessRole::kVoter;
  transport_ = host_.MakeTransport(
      loop_, transport, [this](const io::Hello& peer) { return admission_->Accept(peer); });
  admission_ = std::make_unique<Admission>(loop_, *transport_, *directories_, cluster,
                                           Rng(host_.RandomId()));
  listener_ =
      host_.MakeListener(loop_, transport, [this](const io::Hello&) { return transport_.get(); });
  for (const api::Url& url : options_.listen_peer_urls) {
    COPPICE_RETURN_IF_ERROR(listener_->Listen(url.host, url.port).status());
  }
  return OkStatus();
}

void FirstStart::Finish(const Status& status) {
  // Only where another voter has refused it: else others may know this directory already.
  if (status.code() == StatusCode::kFailedPrecondition) RemoveWhatItMade();
  done_(status);
}

void FirstStart::RemoveWhatItMade() {
  if (!directories_ || directories_->stage() != Directories::Stage::kAsking) return;
  (void)disk_.Remove(Directories::FileIn(folder_) + ".new");  // of a write that failed
  (void)disk_.Remove(Directories::FileIn(folder_));
  (void)disk_.Remove(folder_ + "/lock");
  for (const std::string& folder : made_) (void)disk_.Remove(folder);
}

Status PassFirstStart(const VoterOptions& options, node::Host& host, io::Disk& disk) {
  COPPICE_ASSIGN_OR_RETURN(const bool due, FirstStart::IsDue(options, disk));
  if (!due) return OkStatus();
  const std::unique_ptr<io::Loop> loop = host.MakeLoop("first");
  FirstStart first(options, host, *loop, disk);
  Status result;
  boost::asio::signal_set signals(loop->context(), SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    COPPICE_LOG(kInfo, "signal {}: stopping", number);
    result = MakeStatus(StatusCode::kCancelled, "stopped before enough other voters answered");
    loop->Stop();
  });
  loop->Post([&] {
    first.Start([&](const Status& status) {
      result = status;
      loop->Stop();
    });
  });
  loop->Run();
  return result;
}

}  // namespace coppice::voter
