# Compiler settings and the helpers that every folder's CMakeLists.txt uses.
#
#   coppice_library(NAME SOURCES a.cc b.cc DEPS x y)     a static library
#                                                        (STUBS: its sources include grpc++ stubs)
#   coppice_test(NAME SOURCES a_test.cc DEPS x)          a GoogleTest binary, registered in ctest
#                                                        (LABELS threads: TSan runs it too; LONG: its
#                                                        sources work for long: optimized, run first)
#   coppice_binary(NAME SOURCES main.cc DEPS x)          a program in build/bin
#                                                        (STUBS: as above)
#   APART in the last two: each source is compiled by itself
#
# The target `programs` is all programs, `tests` all GoogleTest binaries; `all` is both.
#
# COPPICE_SANITIZE (empty, "address,undefined" or "thread") comes from CMakePresets.json.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

set(COPPICE_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize takes them")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(absl REQUIRED)
find_package(fmt REQUIRED)

add_library(coppice_flags INTERFACE)
target_include_directories(coppice_flags INTERFACE "${CMAKE_SOURCE_DIR}")
target_compile_options(coppice_flags INTERFACE -Wall -Wextra -Werror -fno-omit-frame-pointer)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(coppice_flags INTERFACE -msse4.2)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(coppice_flags INTERFACE -Wthread-safety)
  # A third of the time of GNU ld, which matters to some sixty tests with sanitizers.
  find_program(COPPICE_LLD ld.lld-14)
  if(COPPICE_LLD)
    target_link_options(coppice_flags INTERFACE -fuse-ld=lld)
  endif()
endif()
if(COPPICE_SANITIZE)
  target_compile_options(coppice_flags INTERFACE -fsanitize=${COPPICE_SANITIZE})
  target_link_options(coppice_flags INTERFACE -fsanitize=${COPPICE_SANITIZE})
  if(COPPICE_SANITIZE MATCHES "address.*undefined")
    # What these two of UBSan find ends the program under ASan too, and they are a fifth of the build.
    target_compile_options(coppice_flags INTERFACE -fno-sanitize=null,object-size)
  endif()
  if(COPPICE_SANITIZE MATCHES "thread")
    # Asio's fenced block uses atomic_thread_fence, which TSan does not understand.
    target_compile_definitions(coppice_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

# A test's own sources, but for LONG ones: GoogleTest's macros take twice as long to optimize, and what
# is tested is in libraries, which have the preset's flags.
set(COPPICE_TEST_FLAGS "-O0")

# The headers that cost the most, compiled once for code, once for code with grpc++ stubs, and once for
# tests. Sources include what they use all the same: clang-tidy and the preset `debug` compile them without.
option(COPPICE_PCH "Precompile the headers that most sources include" OFF)
if(COPPICE_PCH)
  find_package(Boost 1.74 REQUIRED)
  # A precompiled header is valid only under the definitions that it was made with.
  target_compile_definitions(coppice_flags INTERFACE BOOST_ALL_NO_LIB FMT_SHARED NOMINMAX)
  set(pch_headers <utility> <algorithm> <array> <atomic> <deque> <functional> <map> <memory>
      <mutex> <optional> <set> <span> <string> <string_view> <unordered_map> <variant> <vector>
      <absl/status/statusor.h> <absl/functional/any_invocable.h> <fmt/format.h>
      <boost/asio/executor_work_guard.hpp> <boost/asio/io_context.hpp> <boost/asio/ip/tcp.hpp>
      <boost/asio/steady_timer.hpp>)
  file(WRITE "${CMAKE_BINARY_DIR}/pch.cc" "")
  foreach(pch coppice_pch coppice_pch_stubs coppice_pch_test)
    add_library(${pch} STATIC "${CMAKE_BINARY_DIR}/pch.cc")
    target_link_libraries(${pch} PRIVATE coppice_flags absl::statusor absl::any_invocable fmt::fmt
                                         Boost::headers)
  endforeach()
  target_precompile_headers(coppice_pch PRIVATE ${pch_headers})
  target_link_libraries(coppice_pch_stubs PRIVATE coppice_proto_grpc)
  target_precompile_headers(coppice_pch_stubs PRIVATE ${pch_headers} <grpcpp/grpcpp.h>
                                                      <etcd/rpc.grpc.pb.h>)
  target_link_libraries(coppice_pch_test PRIVATE GTest::gtest GTest::gmock)
  target_compile_options(coppice_pch_test PRIVATE ${COPPICE_TEST_FLAGS})
  target_precompile_headers(coppice_pch_test PRIVATE ${pch_headers} <gmock/gmock.h>
                                                     <gtest/gtest.h>)
endif()

add_custom_target(programs)
add_custom_target(tests)

function(coppice_precompiled name pch stubs)
  if(COPPICE_PCH)
    if(stubs)
      set(pch ${pch}_stubs)
    endif()
    target_precompile_headers(${name} REUSE_FROM ${pch})
  endif()
endfunction()

function(coppice_library name)
  cmake_parse_arguments(ARG "STUBS" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC coppice_flags ${ARG_DEPS})
  coppice_precompiled(${name} coppice_pch ${ARG_STUBS})
endfunction()

# The presets of clang++ compile a target's sources several at a time (CMAKE_UNITY_BUILD), which takes
# an eighth to a quarter less. APART is for targets whose files use the same names in their unnamed
# namespaces.
function(coppice_apart name apart)
  if(apart)
    set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)
  endif()
endfunction()

function(coppice_test name)
  cmake_parse_arguments(ARG "APART;LONG" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE coppice_flags ${ARG_DEPS} GTest::gtest GTest::gmock
                                        GTest::gtest_main Threads::Threads)
  if(ARG_LONG)
    coppice_precompiled(${name} coppice_pch FALSE)
  else()
    target_compile_options(${name} PRIVATE ${COPPICE_TEST_FLAGS})
    coppice_precompiled(${name} coppice_pch_test FALSE)
  endif()
  coppice_apart(${name} ${ARG_APART})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_dependencies(tests ${name})
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "unit;${ARG_LABELS}")
  if(ARG_LONG)
    set_tests_properties(${name} PROPERTIES COST 100)
  endif()
endfunction()

function(coppice_binary name)
  cmake_parse_arguments(ARG "APART;STUBS" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE coppice_flags ${ARG_DEPS} Threads::Threads)
  coppice_precompiled(${name} coppice_pch ${ARG_STUBS})
  coppice_apart(${name} ${ARG_APART})
  add_dependencies(programs ${name})
endfunction()
