#include "common/rpc/grpcpp_client.h"

namespace coppice::rpc {
namespace {

std::shared_ptr<grpc::Channel> OpenChannel(std::uint16_t port) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port),
                                   grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

GrpcppClient::GrpcppClient(std::uint16_t port) : stub_(OpenChannel(port)) {}

GrpcppResult GrpcppClient::Call(const std::string& method, const std::vector<std::string>& requests,
                                const GrpcppOptions& options) {
  GrpcppStream stream(*this, method, options);
  bool writing = true;
  for (const std::string& request : requests) writing = writing && stream.Write(request);
  if (writing) stream.WritesDone();
  GrpcppResult result;
  std::string message;
  while (stream.Read(message)) result.messages.push_back(message);
  result.status = stream.Finish();
  for (const auto& [name, value] : stream.context().GetServerTrailingMetadata()) {
    result.trailers.emplace(std::string(name.data(), name.size()),
                            std::string(value.data(), value.size()));
  }
  return result;
}

GrpcppStream::GrpcppStream(GrpcppClient& client, const std::string& method,
                           const GrpcppOptions& options) {
  for (const auto& [name, value] : options.metadata) context_.AddMetadata(name, value);
  context_.set_deadline(std::chrono::system_clock::now() + options.timeout);
  call_ = client.stub().PrepareCall(&context_, "/test.Echo/" + method, &queue_);
  call_->StartCall(this);
  Wait();
}

GrpcppStream::~GrpcppStream() {
  if (!finished_) {
    Cancel();
    Finish();
  }
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) continue;
}

bool GrpcppStream::Wait() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool GrpcppStream::Write(const std::string& message) {
  call_->Write(ToBuffer(message), this);
  return Wait();
}

bool GrpcppStream::WritesDone() {
  call_->WritesDone(this);
  return Wait();
}

bool GrpcppStream::Read(std::string& message) {
  grpc::ByteBuffer buffer;
  call_->Read(&buffer, this);
  if (!Wait()) return false;
  message = FromBuffer(buffer);
  return true;
}

grpc::Status GrpcppStream::Finish() {
  grpc::Status status;
  finished_ = true;
  call_->Finish(&status, this);
  Wait();
  return status;
}

}  // namespace coppice::rpc
