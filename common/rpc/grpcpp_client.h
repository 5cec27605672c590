#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace coppice::rpc {

inline grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}
inline std::string FromBuffer(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  (void)buffer.Dump(&slices);
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

struct GrpcppResult {
  grpc::Status status;
  std::vector<std::string> messages;
  std::map<std::string, std::string> trailers;
};

struct GrpcppOptions {
  std::map<std::string, std::string> metadata = {};
  std::chrono::milliseconds timeout = std::chrono::seconds(20);
};

// grpc++ without generated code, for tests: messages are plain bytes, every call waits.
class GrpcppClient {
 public:
  explicit GrpcppClient(std::uint16_t port);
  // Sends `requests`, half-closes, reads all that comes.
  GrpcppResult Call(const std::string& method, const std::vector<std::string>& requests,
                    const GrpcppOptions& options = GrpcppOptions());
  grpc::GenericStub& stub() { return stub_; }

 private:
  grpc::GenericStub stub_;
};

// One call of any kind, step by step.
class GrpcppStream {
 public:
  GrpcppStream(GrpcppClient& client, const std::string& method,
               const GrpcppOptions& options = GrpcppOptions());
  ~GrpcppStream();
  bool Write(const std::string& message);
  bool WritesDone();
  bool Read(std::string& message);
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish();
  const grpc::ClientContext& context() const { return context_; }

 private:
  bool Wait();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool finished_ = false;
};

}  // namespace coppice::rpc
