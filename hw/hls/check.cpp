// Checks of a command at dispatch, in the order hw/doc/accelerator.md section 3 gives.
#include "accelerator.hpp"

namespace accel {
namespace {

constexpr std::int64_t kCountLimit = 65535;

// Ranges of the fields and zero elsewhere.
template <int N>
bool in_range(const Command& c, const Field (&fields)[N]) {
  std::uint32_t used[kCommandWords] = {};
  for (int i = 0; i < N; ++i) {
    const Field& f = fields[i];
    const std::int64_t value = c.get(f);
    if (value < f.low || value > f.high) return false;
    used[f.word] |= (f.width == 32 ? 0xffffffffU : (1U << f.width) - 1U) << f.lsb;
  }
  for (int i = 0; i < kCommandWords; ++i) {
    if (c.word[i] & ~used[i]) return false;
  }
  return true;
}

bool load_rules(const Command& c) {
  const std::int64_t memory = c.get(load_field::memory);
  if (c.get(load_field::fill) && memory != kMemoryActivation) return false;
  if (memory == kMemoryImage && c.get(load_field::blocks) != 1) return false;
  if (memory == kMemoryWeight || memory == kMemoryParameter) {
    if (c.get(load_field::top) || c.get(load_field::bottom) || c.get(load_field::left) || c.get(load_field::right)) {
      return false;
    }
    const std::int64_t beats = c.get(load_field::blocks) * c.get(load_field::rows) * c.get(load_field::cols);
    return beats % (memory == kMemoryWeight ? kNPe : kParameterBytes) == 0;
  }
  return true;
}

bool compute_rules(const Command& c) {
  if (c.get(compute_field::low_value) > c.get(compute_field::high_value)) return false;
  const bool partial = c.get(compute_field::partial) != 0;
  if (partial && (c.get(compute_field::residual) || c.get(compute_field::to_activation))) return false;
  const std::int64_t k_cols = c.get(compute_field::k_cols), k_blocks = c.get(compute_field::k_blocks);
  if (k_cols * c.get(compute_field::k_rows) * k_blocks > kCountLimit) return false;
  if (c.get(compute_field::cols) * c.get(compute_field::rows) > kCountLimit) return false;
  if (c.get(compute_field::window) > 1) {
    if (!c.get(compute_field::per_channel) || c.get(compute_field::maximum)) return false;
    if (c.get(compute_field::accumulate) || partial) return false;
    if (k_cols != 1 || k_blocks != 1 || c.get(compute_field::k_rows) > kWindowRows) return false;
    if (c.get(compute_field::cols) > 1 && c.get(compute_field::col_step) == 0) return false;
  }
  return true;
}

}  // namespace

Error check(const Command& c, const Result& done) {
  const std::int64_t opcode = c.get(load_field::opcode);
  bool legal = false;
  switch (opcode) {
    case kOpcodeLoad:
      legal = in_range(c, load_field::all) && load_rules(c);
      break;
    case kOpcodeCompute:
      legal = in_range(c, compute_field::all) && compute_rules(c);
      break;
    case kOpcodeStore:
      legal = in_range(c, store_field::all);
      break;
    default:
      return kErrorOpcode;
  }
  if (!legal) return kErrorField;
  if (c.get(load_field::wait_load) > done.loads || c.get(load_field::wait_compute) > done.computes ||
      c.get(load_field::wait_store) > done.stores) {
    return kErrorToken;
  }
  const bool moves = opcode == kOpcodeStore || (opcode == kOpcodeLoad && !c.get(load_field::fill));
  if (moves && c.get(load_field::offset) % kLanes) return kErrorAlignment;
  return kErrorNone;
}

}  // namespace accel
