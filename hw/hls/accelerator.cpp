// A job: fetch, check and execute commands in program order. hw/doc/accelerator.md, section 3.
#include "accelerator.hpp"

namespace accel {
namespace {

Command fetch(const Window& window, std::uint64_t beat) {
  Command c;
  for (int b = 0; b < kCommandBeats; ++b) {
    const Word word = window.read[beat + b];
    for (int w = 0; w < kBeatWords; ++w) {
      std::uint32_t value = 0;
      for (int byte = 0; byte < 4; ++byte) {
        const auto part = static_cast<std::uint8_t>(word.lane[4 * w + byte]);
        value |= std::uint32_t{part} << (8 * byte);
      }
      c.word[b * kBeatWords + w] = value;
    }
  }
  return c;
}

Error execute(const Command& c, const Window& window, Buffers& buffers, Result& result) {
  Error error;
  switch (c.get(load_field::opcode)) {
    case kOpcodeLoad:
      error = load(c, window, buffers, result);
      result.loads += error == kErrorNone;
      break;
    case kOpcodeCompute:
      error = compute(c, buffers, result);
      result.computes += error == kErrorNone;
      break;
    default:
      error = store(c, window, buffers, result);
      result.stores += error == kErrorNone;
      break;
  }
  return error;
}

}  // namespace

void run(const Window& window, std::uint32_t command_offset, std::uint32_t count, Buffers& buffers,
         Result& result) {
  result = Result{};
  const std::uint64_t end = command_offset + std::uint64_t{kCommandBytes} * count;
  if (command_offset % kCommandBytes || end > window.bytes) {
    result.error = kErrorAddress;
    return;
  }
  for (std::uint32_t index = 0; index < count; ++index) {
    const std::uint64_t at = command_offset + std::uint64_t{kCommandBytes} * index;
    const Command c = fetch(window, at / kLanes);
    result.read_beats += kCommandBeats;
    Error error = check(c, result);
    if (error == kErrorNone) error = execute(c, window, buffers, result);
    if (error != kErrorNone) {
      result.error = error;
      result.error_index = index;
      return;
    }
  }
}

}  // namespace accel

extern "C" void accelerator(const accel::Word* window_read, accel::Word* window_write,
                            std::uint32_t window_bytes, std::uint32_t command_offset,
                            std::uint32_t command_count, std::uint32_t* error_code,
                            std::uint32_t* error_index, std::uint32_t* loads_done,
                            std::uint32_t* computes_done, std::uint32_t* stores_done) {
#pragma HLS interface m_axi port = window_read bundle = dram offset = slave max_read_burst_length = 16
#pragma HLS interface m_axi port = window_write bundle = dram offset = slave max_write_burst_length = 16
#pragma HLS interface s_axilite port = window_read bundle = control offset = 0x20
#pragma HLS interface s_axilite port = window_write bundle = control offset = 0x70
#pragma HLS interface s_axilite port = window_bytes bundle = control offset = 0x28
#pragma HLS interface s_axilite port = command_offset bundle = control offset = 0x30
#pragma HLS interface s_axilite port = command_count bundle = control offset = 0x38
#pragma HLS interface s_axilite port = error_code bundle = control offset = 0x48
#pragma HLS interface s_axilite port = error_index bundle = control offset = 0x50
#pragma HLS interface s_axilite port = loads_done bundle = control offset = 0x58
#pragma HLS interface s_axilite port = computes_done bundle = control offset = 0x60
#pragma HLS interface s_axilite port = stores_done bundle = control offset = 0x68
#pragma HLS interface s_axilite port = return bundle = control
#pragma HLS aggregate variable = window_read compact = byte
#pragma HLS aggregate variable = window_write compact = byte
  static accel::Buffers buffers;
#pragma HLS array_partition variable = buffers.weight dim = 2 complete
#pragma HLS array_partition variable = buffers.accumulator dim = 2 complete
#pragma HLS array_partition variable = buffers.accumulator dim = 3 complete
#pragma HLS array_partition variable = buffers.parameter dim = 2 complete
  const accel::Window window = {window_read, window_write, window_bytes};
  accel::Result result;
  accel::run(window, command_offset, command_count, buffers, result);
  *error_code = result.error;
  *error_index = result.error_index;
  *loads_done = result.loads;
  *computes_done = result.computes;
  *stores_done = result.stores;
}
