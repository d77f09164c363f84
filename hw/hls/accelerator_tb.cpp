// C++ testbench of the accelerator: runs a job from a file, then the same job with flipped bits.
//
//   accelerator_tb WINDOW COMMAND_OFFSET COMMAND_COUNT [MUTATIONS SEED]
//
// WINDOW is a binary file, the memory window. Prints the error code, the failing index and an
// FNV-1a hash of the window after the run. Each mutation flips one to three bits of one command in
// a fresh copy of the window and must end, with or without an error; built with
// -fsanitize=address,undefined any access outside the window or a buffer stops the program.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <vector>

#include "accelerator.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

std::uint64_t hash(const Bytes& bytes) {
  std::uint64_t value = 0xcbf29ce484222325ULL;
  for (const std::uint8_t byte : bytes) value = (value ^ byte) * 0x100000001b3ULL;
  return value;
}

accel::Result run(Bytes& bytes, std::uint32_t offset, std::uint32_t count) {
  const auto buffers = std::make_unique<accel::Buffers>();
  auto* words = reinterpret_cast<accel::Word*>(bytes.data());
  accel::Result result;
  accel::run({words, words, bytes.size()}, offset, count, *buffers, result);
  return result;
}

// Upper bound of the loop iterations of a command; mutants beyond the limit are legal but endless.
bool short_enough(const Bytes& bytes, std::size_t at) {
  constexpr double kLimit = 2e5;
  accel::Command c;
  for (int w = 0; w < accel::kCommandWords; ++w) {
    c.word[w] = 0;
    for (int byte = 0; byte < 4; ++byte) {
      c.word[w] |= std::uint32_t{bytes[at + 4 * w + byte]} << (8 * byte);
    }
  }
  double work = 1;
  if (c.get(accel::load_field::opcode) == accel::kOpcodeCompute) {
    for (const accel::Field& f : {accel::compute_field::cols, accel::compute_field::rows,
                                  accel::compute_field::blocks, accel::compute_field::k_cols,
                                  accel::compute_field::k_rows, accel::compute_field::k_blocks}) {
      work *= static_cast<double>(c.get(f));
    }
  } else {
    for (const accel::Field& f : {accel::store_field::cols, accel::store_field::rows,
                                  accel::store_field::blocks}) {
      work *= static_cast<double>(c.get(f)) + 512;
    }
    work /= 512 * 512;
  }
  return work <= kLimit;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 6) {
    std::fprintf(stderr, "usage: %s WINDOW COMMAND_OFFSET COMMAND_COUNT [MUTATIONS SEED]\n",
                 argv[0]);
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  const Bytes original((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto offset = static_cast<std::uint32_t>(std::strtoul(argv[2], nullptr, 10));
  const auto count = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
  Bytes bytes = original;
  const accel::Result result = run(bytes, offset, count);
  std::printf("%u %u %016llx\n", result.error, result.error_index,
              static_cast<unsigned long long>(hash(bytes)));
  if (argc == 4) return 0;

  std::mt19937 random(static_cast<std::uint32_t>(std::strtoul(argv[5], nullptr, 10)));
  unsigned long errors = 0, ran = 0;
  for (unsigned long left = std::strtoul(argv[4], nullptr, 10); left; --left) {
    bytes = original;
    const std::size_t at = offset + std::size_t{random() % count} * accel::kCommandBytes;
    for (unsigned flips = 1 + random() % 3; flips; --flips) {
      const unsigned bit = random() % (8 * accel::kCommandBytes);
      bytes[at + bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    if (!short_enough(bytes, at)) continue;
    ++ran;
    errors += run(bytes, offset, count).error != accel::kErrorNone;
  }
  std::printf("%lu %lu\n", ran, errors);
  return 0;
}
