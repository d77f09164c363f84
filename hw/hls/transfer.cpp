// LOAD and STORE: hw/doc/accelerator.md, sections 4 and 6.
#include "accelerator.hpp"

namespace accel {
namespace {

// The DRAM side of a LOAD or STORE, in beats; both commands keep these fields in one place.
struct Shape {
  std::int64_t cols, rows, blocks, beats, row_pitch, block_pitch, first;
  std::int64_t buffer, buffer_row_pitch, buffer_block_pitch;

  explicit Shape(const Command& c)
      : cols(c.get(store_field::cols)),
        rows(c.get(store_field::rows)),
        blocks(c.get(store_field::blocks)),
        beats(cols),
        row_pitch(c.get(store_field::row_pitch)),
        block_pitch(c.get(store_field::block_pitch)),
        first(c.get(store_field::offset) / kLanes),
        buffer(c.get(store_field::buffer)),
        buffer_row_pitch(c.get(store_field::buffer_row_pitch)),
        buffer_block_pitch(c.get(store_field::buffer_block_pitch)) {}

  bool inside(std::uint64_t window_bytes) const {
    const std::int64_t last = first + (blocks - 1) * block_pitch + (rows - 1) * row_pitch + beats;
    return static_cast<std::uint64_t>(last) * kLanes <= window_bytes;
  }
};

Word filled(std::int8_t value) {
  Word word;
  for (int l = 0; l < kLanes; ++l) {
#pragma HLS unroll
    word.lane[l] = value;
  }
  return word;
}

Error load_activation(const Command& c, const Shape& s, const Window& window, Buffers& buffers) {
  const std::int64_t top = c.get(load_field::top), left = c.get(load_field::left);
  const std::int64_t height = top + s.rows + c.get(load_field::bottom);
  const std::int64_t width = left + s.cols + c.get(load_field::right);
  const bool fill = c.get(load_field::fill) != 0;
  const Word padding = filled(static_cast<std::int8_t>(c.get(load_field::pad_value)));
  const std::int64_t last = s.buffer + (s.blocks - 1) * s.buffer_block_pitch +
                            (height - 1) * s.buffer_row_pitch + width - 1;
  if (last >= kActivationWords) return kErrorBuffer;
  for (std::int64_t b = 0; b < s.blocks; ++b) {
    for (std::int64_t y = 0; y < height; ++y) {
      const bool row_inside = !fill && y >= top && y < top + s.rows;
      const std::int64_t from = s.first + b * s.block_pitch + (y - top) * s.row_pitch - left;
      const std::int64_t to = s.buffer + b * s.buffer_block_pitch + y * s.buffer_row_pitch;
      for (std::int64_t x = 0; x < width; ++x) {
#pragma HLS pipeline II = 1
        const bool inside = row_inside && x >= left && x < left + s.cols;
        buffers.activation[to + x] = inside ? window.read[from + x] : padding;
      }
    }
  }
  return kErrorNone;
}

// Pixels of 4 bytes; each word holds kImagePixels neighbours.
Error load_image(const Command& c, const Shape& s, const Window& window, Buffers& buffers) {
  const std::int64_t top = c.get(load_field::top), left = c.get(load_field::left);
  const std::int64_t height = top + s.rows + c.get(load_field::bottom);
  const std::int64_t width = left + s.cols + c.get(load_field::right);
  const Word padding = filled(static_cast<std::int8_t>(c.get(load_field::pad_value)));
  const std::int64_t last = s.buffer + (height - 1) * s.buffer_row_pitch + width - 1;
  if (last >= kActivationWords) return kErrorBuffer;
  for (std::int64_t y = 0; y < height; ++y) {
    const bool row_inside = y >= top && y < top + s.rows;
    const std::int64_t row = s.first + (y - top) * s.row_pitch;
    const std::int64_t to = s.buffer + y * s.buffer_row_pitch;
    Word shift = padding;
    Word beat = padding;
    for (std::int64_t x = 0; x < width + kImagePixels - 1; ++x) {
#pragma HLS pipeline II = 1
      const std::int64_t pixel = x - left;
      const bool inside = row_inside && pixel >= 0 && pixel < s.cols;
      if (inside && pixel % kImagePixels == 0) beat = window.read[row + pixel / kImagePixels];
      for (int l = 0; l < kLanes - kImageChannels; ++l) {
#pragma HLS unroll
        shift.lane[l] = shift.lane[l + kImageChannels];
      }
      for (int l = 0; l < kImageChannels; ++l) {
#pragma HLS unroll
        const std::int64_t at = inside ? pixel % kImagePixels * kImageChannels + l : 0;
        shift.lane[kLanes - kImageChannels + l] = inside ? beat.lane[at] : padding.lane[0];
      }
      if (x >= kImagePixels - 1) buffers.activation[to + x - kImagePixels + 1] = shift;
    }
  }
  return kErrorNone;
}

void put_weight(Buffers& buffers, std::int64_t word, int element, const Word& beat) {
  for (int l = 0; l < kLanes; ++l) {
#pragma HLS unroll
    buffers.weight[word].at[l][element] = beat.lane[l];
  }
}

// A beat holds the parameters of kLanes / 8 channels.
void put_parameter(Buffers& buffers, std::int64_t word, int part, const Word& beat) {
  constexpr int kChannels = kLanes / kParameterBytes;
  for (int i = 0; i < kChannels; ++i) {
#pragma HLS unroll
    std::uint64_t raw = 0;
    for (int byte = 0; byte < kParameterBytes; ++byte) {
#pragma HLS unroll
      const auto value = static_cast<std::uint8_t>(beat.lane[i * kParameterBytes + byte]);
      raw |= std::uint64_t{value} << (8 * byte);
    }
    Parameter& p = buffers.parameter[word][part * kChannels + i];
    p.bias = static_cast<std::int32_t>(static_cast<std::uint32_t>(raw));
    p.multiplier = static_cast<std::uint16_t>(raw >> 32);
    p.shift = static_cast<std::uint8_t>(raw >> 48);
  }
}

Error load_linear(const Command& c, const Shape& s, const Window& window, Buffers& buffers) {
  const bool weight = c.get(load_field::memory) == kMemoryWeight;
  const int unit = weight ? kNPe : kParameterBytes;
  const std::int64_t words = s.blocks * s.rows * s.cols / unit;
  if (s.buffer + words > (weight ? kWeightWords : kParameterWords)) return kErrorBuffer;
  std::int64_t word = s.buffer;
  int part = 0;
  for (std::int64_t b = 0; b < s.blocks; ++b) {
    for (std::int64_t y = 0; y < s.rows; ++y) {
      for (std::int64_t x = 0; x < s.cols; ++x) {
#pragma HLS pipeline II = 1
        const Word beat = window.read[s.first + b * s.block_pitch + y * s.row_pitch + x];
        if (weight) {
          put_weight(buffers, word, part, beat);
        } else {
          put_parameter(buffers, word, part, beat);
        }
        if (++part == unit) {
          part = 0;
          ++word;
        }
      }
    }
  }
  return kErrorNone;
}

}  // namespace

Error load(const Command& c, const Window& window, Buffers& buffers, Result& result) {
  Shape s(c);
  const std::int64_t target = c.get(load_field::memory);
  if (target == kMemoryImage) s.beats = (s.cols + kImagePixels - 1) / kImagePixels;
  if (!c.get(load_field::fill)) {
    if (!s.inside(window.bytes)) return kErrorAddress;
    result.read_beats += static_cast<std::uint64_t>(s.blocks * s.rows * s.beats);
  }
  switch (target) {
    case kMemoryActivation:
      return load_activation(c, s, window, buffers);
    case kMemoryImage:
      return load_image(c, s, window, buffers);
    default:
      return load_linear(c, s, window, buffers);
  }
}

Error store(const Command& c, const Window& window, const Buffers& buffers, Result& result) {
  const Shape s(c);
  if (!s.inside(window.bytes)) return kErrorAddress;
  const std::int64_t last = s.buffer + (s.blocks - 1) * s.buffer_block_pitch +
                            (s.rows - 1) * s.buffer_row_pitch + s.cols - 1;
  if (last >= kOutputWords) return kErrorBuffer;
  for (std::int64_t b = 0; b < s.blocks; ++b) {
    for (std::int64_t y = 0; y < s.rows; ++y) {
      const std::int64_t from = s.buffer + b * s.buffer_block_pitch + y * s.buffer_row_pitch;
      const std::int64_t to = s.first + b * s.block_pitch + y * s.row_pitch;
      for (std::int64_t x = 0; x < s.cols; ++x) {
#pragma HLS pipeline II = 1
        window.write[to + x] = buffers.output[from + x];
      }
    }
  }
  result.write_beats += static_cast<std::uint64_t>(s.blocks * s.rows * s.cols);
  return kErrorNone;
}

}  // namespace accel
