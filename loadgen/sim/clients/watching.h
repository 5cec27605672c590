#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loadgen/sim/clients/record.h"
#include "loadgen/sim/clients/requests.h"
#include "loadgen/sim/clients/shared.h"
#include "loadgen/sim/ports.h"

namespace coppice::sim {

// One Watch stream after the other, each with some watches: created, canceled, asked for progress,
// now and then not read for a while, closed; and when it is lost, opened elsewhere with each watch
// resumed behind what it has seen, as client libraries do.
// One with a place does none of this by itself: it watches all there is, beside another there.
// Thread: one. The world, the session and the draw outlive it.
class WatchLoop final : private CallEvents {
 public:
  struct Place {
    int endpoint = 0;  // at first
    // Soon it stops reading, until clients begin nothing new.
    bool stalls = false;
  };
  WatchLoop(ClientWorld& world, Shared& shared, Session& session, RequestDraw& draw,
            std::optional<Place> place = std::nullopt);
  WatchLoop(const WatchLoop&) = delete;
  WatchLoop& operator=(const WatchLoop&) = delete;

  void Start();
  void OnPhase();
  // Each watch has all up to the highest revision that was acknowledged.
  bool Settled() const;
  std::string Unsettled() const;

 private:
  struct Watch {
    WatchCreated spec;    // its start: the next revision that it wants; 0: from now on
    std::int64_t id = 0;  // the server's, once created
    Revision asked = 0;   // the start of the last create request
    bool created = false;
    bool canceling = false;
  };

  void OnMessage(std::string_view message) override;
  void OnEnd(const CallEnd& end) override;

  void Open();
  void Lose(bool resume);
  void SendCreate(Watch& watch);
  void OnCreated(const WatchReply& reply);
  void OnCanceled(const WatchReply& reply);
  void OnEvents(const WatchReply& reply);
  void OnProgress(const WatchReply& reply);
  Watch* Find(std::int64_t id);
  void ActLater();
  void Act();
  void AddWatch();
  void CancelOne();
  void AskProgress();
  void AddPlaced();
  void PauseReading();
  void StopReading();
  void GoOnReading();
  void Settle();
  bool Reached(const Watch& watch) const;

  ClientWorld& world_;
  Shared& shared_;
  Session& session_;
  RequestDraw& draw_;
  const std::optional<Place> place_;
  bool placed_ = false;  // it was opened there
  std::unique_ptr<Call> call_;
  StreamRecord* record_ = nullptr;  // the history's; null while no stream is open
  std::vector<std::unique_ptr<Watch>> watches_;
  std::deque<Watch*> unanswered_;  // creates, in the order they were sent; null: canceled since
  Time asked_progress_at_ = 0;
  bool reading_ = true;
  int losses_ = 0;  // in a row
};

}  // namespace coppice::sim
