// SPDX-License-Identifier: Apache-2.0
// A memory behind AXI4: one server for reads and writes with a bandwidth cap, and a latency.
//
// Bursts are served in the order of arrival, a write arriving with its last beat of data: neither
// direction can keep the other waiting for longer than what stood in the queue before it. A burst
// occupies the server for its bytes divided by the bandwidth. Reads see memory as it is when their
// address is taken, writes change it when their response is sent: a program that does not wait for
// a response reads old data. An access outside the memory gets DECERR and counts as a violation, as
// does a burst that breaks a rule of the core: more than 16 beats, across 4 KB, WLAST in the wrong
// place.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

enum Response : std::uint8_t { kOkay = 0, kSlverr = 2, kDecerr = 3 };

struct DramSettings {
  std::uint64_t bytes_per_1024_cycles = 1024 * 16;
  std::uint32_t latency_cycles = 100;
  std::uint32_t jitter_cycles = 0;   // added to the latency of a burst, uniformly
  std::uint32_t stall_percent = 0;   // of cycles in which a channel is not ready or not valid
  std::uint32_t seed = 1;
};

// A burst that is to fail: the `after`-th from now on its channel, counted from 0.
struct Fault {
  std::int64_t after = -1;
  Response response = kOkay;
};

template <int kBeatBytes>
class Dram {
 public:
  // What the master drives, sampled before a clock edge.
  struct Master {
    bool ar_valid, r_ready, aw_valid, w_valid, w_last, b_ready;
    std::uint64_t ar_address, aw_address;
    std::uint32_t ar_beats, aw_beats, w_strobe;
    const std::uint8_t* w_data;
  };

  // What the memory drives until the next edge.
  bool ar_ready = false, r_valid = false, r_last = false;
  bool aw_ready = false, w_ready = false, b_valid = false;
  Response r_response = kOkay, b_response = kOkay;
  std::uint8_t r_data[kBeatBytes] = {};

  Fault read_fault, write_fault;
  bool hang = false;  // answers nothing from now on
  std::uint64_t violations = 0;

  void Attach(std::uint8_t* data, std::uint64_t bytes, std::uint64_t base) {
    data_ = data;
    bytes_ = bytes;
    base_ = base;
  }

  void Configure(const DramSettings& settings) {
    settings_ = settings;
    random_.seed(settings.seed);
  }

  // One clock edge: take what was offered, then decide what to drive.
  void Edge(const Master& m) {
    now_ += kCycle;
    if (ar_ready && m.ar_valid) TakeRead(m.ar_address, m.ar_beats);
    if (aw_ready && m.aw_valid) addresses_.push_back({m.aw_address, m.aw_beats});
    if (w_ready && m.w_valid) TakeData(m);
    if (r_valid && m.r_ready) {
      r_valid = false;
      if (++beat_ == reads_.front().beats) {
        reads_.pop_front();
        beat_ = 0;
      }
    }
    if (b_valid && m.b_ready) b_valid = false;
    Finish();
    Drive();
  }

 private:
  static constexpr std::uint64_t kCycle = 1024;      // units of time per cycle
  static constexpr std::size_t kOutstanding = 32;    // bursts of a direction in the queue

  struct Read {
    std::vector<std::uint8_t> data;
    std::uint32_t beats;
    std::uint64_t start;
    Response response;
  };
  struct Address {
    std::uint64_t address;
    std::uint32_t beats;
  };
  struct Beat {
    std::uint8_t data[kBeatBytes];
    std::uint32_t strobe;
  };
  struct Write {
    Address address;
    std::vector<Beat> beats;
    std::uint64_t due;
    Response response;
  };

  bool Holds(std::uint64_t address, std::uint32_t beats) {
    const std::uint64_t bytes = std::uint64_t{beats} * kBeatBytes;
    if (beats > 16 || address / 4096 != (address + bytes - 1) / 4096) ++violations;
    return address >= base_ && bytes <= bytes_ && address - base_ <= bytes_ - bytes;
  }

  std::uint64_t Cost(std::uint32_t beats) const {
    return std::uint64_t{beats} * kBeatBytes * 1024 * kCycle / settings_.bytes_per_1024_cycles;
  }

  std::uint64_t Latency() {
    std::uint64_t cycles = settings_.latency_cycles;
    if (settings_.jitter_cycles) cycles += random_() % (settings_.jitter_cycles + 1);
    return cycles * kCycle;
  }

  // Occupies the server and returns when the burst's transfer starts.
  std::uint64_t Serve(std::uint32_t beats) {
    const std::uint64_t start = free_ > now_ ? free_ : now_;
    free_ = start + Cost(beats);
    return start;
  }

  static Response Inject(Fault& fault) {
    return fault.after >= 0 && fault.after-- == 0 ? fault.response : kOkay;
  }

  void TakeRead(std::uint64_t address, std::uint32_t beats) {
    Read read{std::vector<std::uint8_t>(std::size_t{beats} * kBeatBytes), beats, 0, kOkay};
    read.response = Inject(read_fault);
    if (Holds(address, beats)) {
      std::memcpy(read.data.data(), data_ + (address - base_), read.data.size());
    } else {
      ++violations;
      read.response = kDecerr;
    }
    read.start = Serve(beats) + Latency();
    if (!reads_.empty() && read.start < reads_.back().start) read.start = reads_.back().start;
    reads_.push_back(std::move(read));
  }

  void TakeData(const Master& m) {
    Beat beat;
    std::memcpy(beat.data, m.w_data, kBeatBytes);
    beat.strobe = m.w_strobe;
    beats_.push_back(beat);
    if (m.w_last) bursts_.push_back(static_cast<std::uint32_t>(beats_.size() - counted_));
    if (m.w_last) counted_ = beats_.size();
  }

  // Joins addresses with their data and applies writes whose response is due.
  void Finish() {
    while (!addresses_.empty() && !bursts_.empty()) {
      Write write{addresses_.front(), {}, 0, Inject(write_fault)};
      if (bursts_.front() != write.address.beats) ++violations;
      write.beats.assign(beats_.begin(), beats_.begin() + bursts_.front());
      beats_.erase(beats_.begin(), beats_.begin() + bursts_.front());
      counted_ -= bursts_.front();
      write.due = Serve(bursts_.front()) + Cost(bursts_.front()) + Latency();
      addresses_.pop_front();
      bursts_.pop_front();
      writes_.push_back(std::move(write));
    }
    if (b_valid || hang || writes_.empty() || writes_.front().due > now_) return;
    Apply(writes_.front());
    b_response = writes_.front().response;
    b_valid = true;
    writes_.pop_front();
  }

  void Apply(Write& write) {
    bool strobed = false;
    for (const Beat& beat : write.beats) strobed |= beat.strobe != 0;
    if (!Holds(write.address.address, write.address.beats)) {
      ++violations;
      write.response = kDecerr;
      return;
    }
    if (!strobed || write.response != kOkay) return;
    std::uint8_t* to = data_ + (write.address.address - base_);
    for (const Beat& beat : write.beats) {
      for (int i = 0; i < kBeatBytes; ++i) {
        if (beat.strobe >> i & 1) to[i] = beat.data[i];
      }
      to += kBeatBytes;
    }
  }

  bool Stall() { return settings_.stall_percent && random_() % 100 < settings_.stall_percent; }

  void Drive() {
    ar_ready = !hang && reads_.size() < kOutstanding && !Stall();
    aw_ready = !hang && addresses_.size() + writes_.size() < kOutstanding && !Stall();
    w_ready = !hang && !Stall();
    if (!r_valid && !hang && !reads_.empty()) {
      const Read& read = reads_.front();
      r_valid = read.start + Cost(beat_ + 1) <= now_ && !Stall();
      if (r_valid) {
        std::memcpy(r_data, read.data.data() + std::size_t{beat_} * kBeatBytes, kBeatBytes);
        r_last = beat_ + 1 == read.beats;
        r_response = read.response;
      }
    }
  }

  DramSettings settings_;
  std::mt19937 random_;
  std::uint8_t* data_ = nullptr;
  std::uint64_t bytes_ = 0, base_ = 0;
  std::uint64_t now_ = 0, free_ = 0;
  std::deque<Read> reads_;
  std::uint32_t beat_ = 0;
  std::deque<Address> addresses_;
  std::deque<Beat> beats_;
  std::deque<std::uint32_t> bursts_;
  std::size_t counted_ = 0;
  std::deque<Write> writes_;
};
