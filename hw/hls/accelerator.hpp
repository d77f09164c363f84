// The accelerator as C++: the same commands, layouts and arithmetic as the RTL.
//
// Meaning: hw/doc/accelerator.md. Commands are executed one after the other in program order, which
// their waits make equal to what concurrent units do. Sizes come from the build, by -D, for one
// configuration of hw/config.py; native integer types throughout, so that g++ and Vitis HLS agree.
#pragma once

#include <cstdint>

#include "accel_params.hpp"

#ifndef ACCEL_N_PE  // configuration ultra96
#define ACCEL_N_PE 16
#define ACCEL_PIXELS 2
#define ACCEL_LANES 16
#define ACCEL_ACTIVATION_WORDS 8192
#define ACCEL_WEIGHT_WORDS 1024
#define ACCEL_ACCUMULATOR_WORDS 512
#endif

namespace accel {

constexpr int kNPe = ACCEL_N_PE;
constexpr int kPixels = ACCEL_PIXELS;
constexpr int kLanes = ACCEL_LANES;
constexpr int kActivationWords = ACCEL_ACTIVATION_WORDS;
constexpr int kWeightWords = ACCEL_WEIGHT_WORDS;
constexpr int kAccumulatorWords = ACCEL_ACCUMULATOR_WORDS;
constexpr int kSubBlocks = kNPe / kLanes;
constexpr int kImagePixels = kLanes / kImageChannels;
constexpr int kCommandWords = kCommandBytes / 4;
constexpr int kBeatWords = kLanes / 4;  // 32-bit words of a beat
constexpr int kCommandBeats = kCommandBytes / kLanes;

static_assert(kLanes == 8 || kLanes == 16, "a beat holds 8 or 16 lanes");
static_assert(kNPe % kLanes == 0, "n_pe is a multiple of lanes");

// One beat of the bus: lanes int8 channels of a position.
struct Word {
  std::int8_t lane[kLanes];
};

// Weights of one step, lane by lane: at[l][e] is lane l of processing element e.
struct WeightWord {
  std::int8_t at[kLanes][kNPe];
};

// How the sums of one output channel become codes.
struct Parameter {
  std::int32_t bias;
  std::uint16_t multiplier;
  std::uint8_t shift;
};

// Everything on chip. Addresses are words.
struct Buffers {
  Word activation[kActivationWords];
  WeightWord weight[kWeightWords];
  Parameter parameter[kParameterWords][kLanes];
  std::int32_t accumulator[kAccumulatorWords][kPixels][kNPe];
  Word output[kOutputWords];
};

// What a job leaves in the result registers.
struct Result {
  std::uint32_t error;        // Error
  std::uint32_t error_index;  // position of the failing command
  std::uint32_t loads, computes, stores;
  std::uint64_t array_steps, read_beats, write_beats;
};

// A command as read from memory.
struct Command {
  std::uint32_t word[kCommandWords];

  std::int64_t get(const Field& f) const {
    const std::uint32_t mask = f.width == 32 ? 0xffffffffU : (1U << f.width) - 1U;
    const std::uint32_t raw = word[f.word] >> f.lsb & mask;
    if (f.low < 0 && raw >> (f.width - 1)) return std::int64_t{raw} - (std::int64_t{1} << f.width);
    return raw;
  }
};

// Window of DRAM in beats.
struct Window {
  const Word* read;
  Word* write;
  std::uint64_t bytes;
};

// check.cpp: the checks made at dispatch; kErrorNone if a command is legal.
Error check(const Command& c, const Result& done);

// transfer.cpp, compute.cpp: one command; an error leaves the buffers unspecified.
Error load(const Command& c, const Window& window, Buffers& buffers, Result& result);
Error store(const Command& c, const Window& window, const Buffers& buffers, Result& result);
Error compute(const Command& c, Buffers& buffers, Result& result);

// accelerator.cpp: a whole job.
void run(const Window& window, std::uint32_t command_offset, std::uint32_t count, Buffers& buffers,
         Result& result);

}  // namespace accel

// The kernel that Vitis HLS synthesizes. Both pointers are WINDOW_BASE.
extern "C" void accelerator(const accel::Word* window_read, accel::Word* window_write,
                            std::uint32_t window_bytes, std::uint32_t command_offset,
                            std::uint32_t command_count, std::uint32_t* error_code,
                            std::uint32_t* error_index, std::uint32_t* loads_done,
                            std::uint32_t* computes_done, std::uint32_t* stores_done);
