// COMPUTE: hw/doc/accelerator.md, section 5; the arithmetic is hw/fixed.py.
#include <limits>

#include "accelerator.hpp"

namespace accel {
namespace {

// Fields of a COMPUTE, decoded once.
struct Plan {
  bool per_channel, maximum, accumulate, partial, residual, to_activation, hold_weight;
  std::int64_t window, source, weight, parameter, accumulator, target, addend;
  std::int64_t cols, rows, blocks, group_step, col_step, row_step;
  std::int64_t k_cols, k_rows, k_blocks, k_col_step, k_row_step, k_block_step;
  std::int64_t target_row_pitch, target_block_pitch, addend_row_pitch, addend_block_pitch;
  std::int64_t addend_zero, output_zero, addend_multiplier, addend_shift, low, high;
  std::int64_t group_blocks, groups, steps, pixels, pixel_groups;

  explicit Plan(const Command& c)
      : per_channel(c.get(compute_field::per_channel) != 0),
        maximum(c.get(compute_field::maximum) != 0),
        accumulate(c.get(compute_field::accumulate) != 0),
        partial(c.get(compute_field::partial) != 0),
        residual(c.get(compute_field::residual) != 0),
        to_activation(c.get(compute_field::to_activation) != 0),
        hold_weight(c.get(compute_field::hold_weight) != 0),
        window(c.get(compute_field::window)),
        source(c.get(compute_field::source)),
        weight(c.get(compute_field::weight)),
        parameter(c.get(compute_field::parameter_value)),
        accumulator(c.get(compute_field::accumulator)),
        target(c.get(compute_field::target)),
        addend(c.get(compute_field::addend)),
        cols(c.get(compute_field::cols)),
        rows(c.get(compute_field::rows)),
        blocks(c.get(compute_field::blocks)),
        group_step(c.get(compute_field::group_step)),
        col_step(c.get(compute_field::col_step)),
        row_step(c.get(compute_field::row_step)),
        k_cols(c.get(compute_field::k_cols)),
        k_rows(c.get(compute_field::k_rows)),
        k_blocks(c.get(compute_field::k_blocks)),
        k_col_step(c.get(compute_field::k_col_step)),
        k_row_step(c.get(compute_field::k_row_step)),
        k_block_step(c.get(compute_field::k_block_step)),
        target_row_pitch(c.get(compute_field::target_row_pitch)),
        target_block_pitch(c.get(compute_field::target_block_pitch)),
        addend_row_pitch(c.get(compute_field::addend_row_pitch)),
        addend_block_pitch(c.get(compute_field::addend_block_pitch)),
        addend_zero(c.get(compute_field::addend_zero)),
        output_zero(c.get(compute_field::output_zero)),
        addend_multiplier(c.get(compute_field::addend_multiplier)),
        addend_shift(c.get(compute_field::addend_shift)),
        low(c.get(compute_field::low_value)),
        high(c.get(compute_field::high_value)),
        group_blocks(per_channel ? 1 : kSubBlocks),
        groups((blocks + group_blocks - 1) / group_blocks),
        steps(k_cols * k_rows * k_blocks),
        pixels(cols * rows),
        pixel_groups((pixels + kPixels - 1) / kPixels) {}

  // Whether every address lies in its buffer; all steps are positive, so the last one is largest.
  bool inside() const {
    const std::int64_t read = source + (groups - 1) * group_step + (rows - 1) * row_step +
                              (cols - 1) * col_step + (k_blocks - 1) * k_block_step +
                              (k_rows - 1) * k_row_step + (k_cols - 1) * k_col_step + window - 1;
    const std::int64_t weights = weight + (hold_weight ? 1 : groups * steps);
    if (read >= kActivationWords || weights > kWeightWords) return false;
    const std::int64_t sums = accumulator + groups * pixel_groups;
    if ((accumulate || partial) && sums > kAccumulatorWords) return false;
    if (partial) return true;
    const std::int64_t added = addend + (blocks - 1) * addend_block_pitch +
                               (rows - 1) * addend_row_pitch + cols - 1;
    const std::int64_t wrote = target + (blocks - 1) * target_block_pitch +
                               (rows - 1) * target_row_pitch + cols - 1;
    return parameter + blocks <= kParameterWords && (!residual || added < kActivationWords) &&
           wrote < (to_activation ? kActivationWords : kOutputWords);
  }
};

// Sums of kPixels pixels; unsigned, so that an illegal overflow wraps as hardware does.
struct Sums {
  std::uint32_t at[kPixels][kNPe];
};

std::int32_t as_signed(std::uint32_t value) { return static_cast<std::int32_t>(value); }

void step_dense(const Buffers& buffers, const std::int64_t (&address)[kPixels],
                const WeightWord& weight, Sums& sums) {
#pragma HLS inline
  for (int l = 0; l < kLanes; ++l) {
#pragma HLS unroll
    for (int j = 0; j < kPixels; ++j) {
#pragma HLS unroll
      const std::int32_t a = buffers.activation[address[j]].lane[l];
      for (int e = 0; e < kNPe; ++e) {
#pragma HLS unroll
        sums.at[j][e] += static_cast<std::uint32_t>(a * weight.at[l][e]);
      }
    }
  }
}

void step_per_channel(const Buffers& buffers, const std::int64_t (&address)[kPixels],
                      const WeightWord& weight, const Plan& p, Sums& sums) {
#pragma HLS inline
  for (int j = 0; j < kPixels; ++j) {
#pragma HLS unroll
    std::int32_t term[kLanes] = {};
    for (int t = 0; t < kWindowTaps; ++t) {
#pragma HLS unroll
      if (t < p.window) {
        const Word& word = buffers.activation[address[j] + t];
        for (int e = 0; e < kLanes; ++e) {
#pragma HLS unroll
          term[e] += word.lane[e] * weight.at[t][e];
        }
      }
    }
    for (int e = 0; e < kLanes; ++e) {
#pragma HLS unroll
      const std::int32_t sum = as_signed(sums.at[j][e]);
      const std::int32_t larger = sum > term[e] ? sum : term[e];
      const std::uint32_t added = sums.at[j][e] + static_cast<std::uint32_t>(term[e]);
      sums.at[j][e] = p.maximum ? static_cast<std::uint32_t>(larger) : added;
    }
  }
}

// All reduction steps of one group of pixels.
void reduce(const Plan& p, const Buffers& buffers, std::int64_t group,
            const std::int64_t (&origin)[kPixels], Sums& sums) {
  std::int64_t weight = p.weight + (p.hold_weight ? 0 : group * p.steps);
  for (std::int64_t kb = 0; kb < p.k_blocks; ++kb) {
    for (std::int64_t ky = 0; ky < p.k_rows; ++ky) {
      for (std::int64_t kx = 0; kx < p.k_cols; ++kx) {
#pragma HLS pipeline II = 1
        const std::int64_t offset =
            kb * p.k_block_step + ky * p.k_row_step + kx * p.k_col_step + group * p.group_step;
        std::int64_t address[kPixels];
        for (int j = 0; j < kPixels; ++j) address[j] = origin[j] + offset;
        if (p.per_channel) {
          step_per_channel(buffers, address, buffers.weight[weight], p, sums);
        } else {
          step_dense(buffers, address, buffers.weight[weight], sums);
        }
        if (!p.hold_weight) ++weight;
      }
    }
  }
}

// (value * multiplier + half) >> shift, floor; see hw/fixed.py.
std::int64_t scaled(std::int64_t value, std::int64_t multiplier, std::int64_t shift) {
  return (value * multiplier + (std::int64_t{1} << (shift - 1))) >> shift;
}

// Rescale, add and clamp one block of one pixel.
void emit(const Plan& p, Buffers& buffers, std::int64_t block, std::int64_t pixel,
          const std::uint32_t* sums) {
  const std::int64_t y = pixel / p.cols, x = pixel % p.cols;
  const std::int64_t to = p.target + block * p.target_block_pitch + y * p.target_row_pitch + x;
  Word addend = {};
  if (p.residual) {
    addend = buffers.activation[p.addend + block * p.addend_block_pitch + y * p.addend_row_pitch +
                                x];
  }
  Word word;
  for (int l = 0; l < kLanes; ++l) {
#pragma HLS unroll
    const Parameter& q = buffers.parameter[p.parameter + block][l];
    // A shift outside 1..47 is no legal parameter; 6 bits of it reach the shifter.
    const std::int64_t shift = q.shift & 63 ? q.shift & 63 : 1;
    const std::int32_t sum = as_signed(sums[l] + static_cast<std::uint32_t>(q.bias));
    std::int64_t value = scaled(sum, q.multiplier, shift);
    if (p.residual) {
      value += scaled(addend.lane[l] - p.addend_zero, p.addend_multiplier, p.addend_shift);
    }
    value += p.output_zero;
    value = value < p.low ? p.low : value > p.high ? p.high : value;
    word.lane[l] = static_cast<std::int8_t>(value);
  }
  if (p.to_activation) {
    buffers.activation[to] = word;
  } else {
    buffers.output[to] = word;
  }
}

// One group of output blocks over kPixels pixels from `first`.
void pixel_group(const Plan& p, Buffers& buffers, std::int64_t group, std::int64_t first) {
  const std::int64_t at = p.accumulator + group * p.pixel_groups + first / kPixels;
  const std::int32_t initial = p.maximum ? std::numeric_limits<std::int32_t>::min() : 0;
  Sums sums;
  std::int64_t origin[kPixels];
  for (int j = 0; j < kPixels; ++j) {
    // Slots beyond the last pixel repeat it; their sums go nowhere that is read.
    const std::int64_t pixel = first + j < p.pixels ? first + j : p.pixels - 1;
    origin[j] = p.source + pixel / p.cols * p.row_step + pixel % p.cols * p.col_step;
    for (int e = 0; e < kNPe; ++e) {
#pragma HLS unroll
      const std::int32_t kept = p.accumulate ? buffers.accumulator[at][j][e] : initial;
      sums.at[j][e] = static_cast<std::uint32_t>(kept);
    }
  }
  reduce(p, buffers, group, origin, sums);
  for (int j = 0; j < kPixels && first + j < p.pixels; ++j) {
    if (p.partial) {
      for (int e = 0; e < kNPe; ++e) {
#pragma HLS unroll
        buffers.accumulator[at][j][e] = as_signed(sums.at[j][e]);
      }
      continue;
    }
    for (std::int64_t s = 0; s < p.group_blocks; ++s) {
      const std::int64_t block = group * p.group_blocks + s;
      if (block < p.blocks) emit(p, buffers, block, first + j, &sums.at[j][s * kLanes]);
    }
  }
}

}  // namespace

Error compute(const Command& c, Buffers& buffers, Result& result) {
  const Plan p(c);
  if (!p.inside()) return kErrorBuffer;
  for (std::int64_t group = 0; group < p.groups; ++group) {
    for (std::int64_t first = 0; first < p.pixels; first += kPixels) {
      pixel_group(p, buffers, group, first);
    }
  }
  // With a window, slots follow rows of their own: a pass is a column of a band of rows.
  const std::int64_t bands = (p.rows + kPixels - 1) / kPixels;
  const std::int64_t passes = p.window > 1 ? bands * p.cols : p.pixel_groups;
  result.array_steps += static_cast<std::uint64_t>(p.groups * passes * p.steps);
  return kErrorNone;
}

}  // namespace accel
