// C interface of the functional device, for ctypes. One handle is one accelerator.
#include <new>

#include "accelerator.hpp"

extern "C" {

void* accel_open() { return new (std::nothrow) accel::Buffers(); }

void accel_close(void* handle) { delete static_cast<accel::Buffers*>(handle); }

// Fill in what the library was built for, in the order of the build's parameters.
void accel_sizes(std::int32_t* sizes) {
  const std::int32_t values[] = {accel::kNPe,         accel::kPixels,      accel::kLanes,
                                 accel::kActivationWords, accel::kWeightWords,
                                 accel::kAccumulatorWords};
  for (int i = 0; i < 6; ++i) sizes[i] = values[i];
}

// Run a job in the memory window; returns the error code.
std::uint32_t accel_run(void* handle, std::uint8_t* memory, std::uint64_t bytes,
                        std::uint32_t command_offset, std::uint32_t count,
                        accel::Result* result) {
  auto* word = reinterpret_cast<accel::Word*>(memory);
  const accel::Window window = {word, word, bytes};
  accel::run(window, command_offset, count, *static_cast<accel::Buffers*>(handle), *result);
  return result->error;
}

}  // extern "C"
