# Compiler settings and the helpers that every folder's CMakeLists.txt uses.
#
#   coppice_library(NAME SOURCES a.cc b.cc DEPS x y)     a static library
#   coppice_test(NAME SOURCES a_test.cc DEPS x)          a GoogleTest binary, registered in ctest
#                                                        (LABELS threads: TSan runs it too)
#   coppice_binary(NAME SOURCES main.cc DEPS x)          a program in build/bin
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
endif()
option(COPPICE_MUTANTS "Compile the switches of common/base/mutant.h in, for coppice-sim-mutants" OFF)
if(COPPICE_MUTANTS)
  target_compile_definitions(coppice_flags INTERFACE COPPICE_MUTANTS)
endif()
if(COPPICE_SANITIZE)
  target_compile_options(coppice_flags INTERFACE -fsanitize=${COPPICE_SANITIZE})
  target_link_options(coppice_flags INTERFACE -fsanitize=${COPPICE_SANITIZE})
  if(COPPICE_SANITIZE MATCHES "thread")
    # Asio's fenced block uses atomic_thread_fence, which TSan does not understand.
    target_compile_definitions(coppice_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

function(coppice_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC coppice_flags ${ARG_DEPS})
endfunction()

function(coppice_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE coppice_flags ${ARG_DEPS} GTest::gtest GTest::gmock
                                        GTest::gtest_main Threads::Threads)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "unit;${ARG_LABELS}")
endfunction()

function(coppice_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE coppice_flags ${ARG_DEPS} Threads::Threads)
endfunction()
