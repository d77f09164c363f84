// SPDX-License-Identifier: Apache-2.0
// The Verilated core with its memory, behind a C ABI. LANES is the configuration's.

#include <cstdint>
#include <cstring>
#include <memory>

#include "Vaccel.h"
#include "dram.hpp"
#include "verilated.h"

namespace {

class Machine {
 public:
  Machine() : top_(std::make_unique<Vaccel>(&context_)) {
    top_->rst_ni = 0;
    Run(4, false);
    top_->rst_ni = 1;
    Run(2, false);
  }
  ~Machine() { top_->final(); }

  Dram<LANES>& dram() { return dram_; }
  std::uint64_t cycles() const { return cycles_; }

  // Clocks until the interrupt if asked for, at most `limit` cycles; returns how many it took.
  std::uint64_t Run(std::uint64_t limit, bool until_interrupt) {
    std::uint64_t done = 0;
    while (done < limit && !(until_interrupt && top_->irq_o)) {
      Cycle();
      ++done;
    }
    return done;
  }

  std::uint32_t ReadRegister(std::uint32_t address) {
    top_->s_axil_araddr = static_cast<std::uint8_t>(address);
    top_->s_axil_arvalid = 1;
    top_->s_axil_rready = 1;
    Cycle();  // an idle read channel takes an address at once
    top_->s_axil_arvalid = 0;
    while (!top_->s_axil_rvalid) Cycle();
    const std::uint32_t value = top_->s_axil_rdata;
    Cycle();
    return value;
  }

  void WriteRegister(std::uint32_t address, std::uint32_t value) {
    top_->s_axil_awaddr = static_cast<std::uint8_t>(address);
    top_->s_axil_wdata = value;
    top_->s_axil_wstrb = 0xf;
    top_->s_axil_awvalid = 1;
    top_->s_axil_wvalid = 1;
    top_->s_axil_bready = 1;
    Cycle();
    top_->s_axil_awvalid = 0;
    top_->s_axil_wvalid = 0;
    Cycle();
  }

 private:
  void Cycle() {
    top_->m_axi_arready = dram_.ar_ready;
    top_->m_axi_rvalid = dram_.r_valid;
    top_->m_axi_rlast = dram_.r_last;
    top_->m_axi_rresp = dram_.r_response;
    std::memcpy(&top_->m_axi_rdata, dram_.r_data, LANES);
    top_->m_axi_awready = dram_.aw_ready;
    top_->m_axi_wready = dram_.w_ready;
    top_->m_axi_bvalid = dram_.b_valid;
    top_->m_axi_bresp = dram_.b_response;
    top_->clk_i = 0;
    top_->eval();
    Dram<LANES>::Master master{};
    master.ar_valid = top_->m_axi_arvalid;
    master.r_ready = top_->m_axi_rready;
    master.aw_valid = top_->m_axi_awvalid;
    master.w_valid = top_->m_axi_wvalid;
    master.w_last = top_->m_axi_wlast;
    master.b_ready = top_->m_axi_bready;
    master.ar_address = top_->m_axi_araddr;
    master.aw_address = top_->m_axi_awaddr;
    master.ar_beats = top_->m_axi_arlen + 1u;
    master.aw_beats = top_->m_axi_awlen + 1u;
    master.w_strobe = top_->m_axi_wstrb;
    std::uint8_t data[LANES];
    std::memcpy(data, &top_->m_axi_wdata, LANES);
    master.w_data = data;
    top_->clk_i = 1;
    top_->eval();
    dram_.Edge(master);
    ++cycles_;
  }

  VerilatedContext context_;
  std::unique_ptr<Vaccel> top_;
  Dram<LANES> dram_;
  std::uint64_t cycles_ = 0;
};

}  // namespace

extern "C" {

void* accel_open() { return new Machine; }

void accel_close(void* machine) { delete static_cast<Machine*>(machine); }

void accel_attach(void* machine, std::uint8_t* data, std::uint64_t bytes, std::uint64_t base) {
  static_cast<Machine*>(machine)->dram().Attach(data, bytes, base);
}

void accel_dram(void* machine, std::uint64_t bytes_per_1024_cycles, std::uint32_t latency_cycles,
                std::uint32_t jitter_cycles, std::uint32_t stall_percent, std::uint32_t seed) {
  static_cast<Machine*>(machine)->dram().Configure(
      {bytes_per_1024_cycles, latency_cycles, jitter_cycles, stall_percent, seed});
}

// Makes the burst number `after` from now on fail; `channel` 0 reads, 1 writes, 2 hangs all.
void accel_fault(void* machine, std::uint32_t channel, std::int64_t after, std::uint32_t response) {
  Dram<LANES>& dram = static_cast<Machine*>(machine)->dram();
  if (channel == 2) dram.hang = response != 0;
  else (channel ? dram.write_fault : dram.read_fault) = {after, static_cast<Response>(response)};
}

std::uint64_t accel_violations(void* machine) {
  return static_cast<Machine*>(machine)->dram().violations;
}

std::uint32_t accel_read(void* machine, std::uint32_t address) {
  return static_cast<Machine*>(machine)->ReadRegister(address);
}

void accel_write(void* machine, std::uint32_t address, std::uint32_t value) {
  static_cast<Machine*>(machine)->WriteRegister(address, value);
}

std::uint64_t accel_clock(void* machine, std::uint64_t limit, std::uint32_t until_interrupt) {
  return static_cast<Machine*>(machine)->Run(limit, until_interrupt != 0);
}

std::uint64_t accel_cycles(void* machine) { return static_cast<Machine*>(machine)->cycles(); }
}
