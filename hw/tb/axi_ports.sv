// SPDX-License-Identifier: Apache-2.0
// Top of the bench of axi_reader and axi_writer: both with the bus constants of accel_top.

module axi_ports #(
  parameter int unsigned BeatBytes = 8,
  localparam int unsigned DataBits = 8 * BeatBytes
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 stop_i,
  input  logic [63:0]          window_base_i,

  output logic                 read_quiet_o,
  input  logic                 fetch_valid_i,
  output logic                 fetch_ready_o,
  input  core_pkg::burst_t     fetch_i,
  output logic                 fetch_beat_o,
  input  logic                 load_valid_i,
  output logic                 load_ready_o,
  input  core_pkg::burst_t     load_i,
  output logic                 load_beat_o,
  input  logic                 load_beat_ready_i,
  output logic [DataBits-1:0]  read_data_o,
  output core_pkg::fault_t     read_fault_o,
  output core_pkg::index_t     read_oldest_o,
  output logic                 read_beat_o,

  output logic                 write_quiet_o,
  input  logic                 store_valid_i,
  output logic                 store_ready_o,
  input  core_pkg::burst_t     store_i,
  input  logic                 data_valid_i,
  output logic                 data_ready_o,
  input  logic [DataBits-1:0]  data_i,
  output logic                 done_o,
  output core_pkg::fault_t     write_fault_o,
  output core_pkg::index_t     write_oldest_o,
  output logic                 write_beat_o,
  output logic                 response_o,

  output logic [63:0]          m_axi_araddr,
  output logic [ 7:0]          m_axi_arlen,
  output logic [ 0:0]          m_axi_arid,
  output logic [ 2:0]          m_axi_arsize,
  output logic [ 1:0]          m_axi_arburst,
  output logic                 m_axi_arvalid,
  input  logic                 m_axi_arready,
  input  logic [ 0:0]          m_axi_rid,
  input  logic [DataBits-1:0]  m_axi_rdata,
  input  logic [ 1:0]          m_axi_rresp,
  input  logic                 m_axi_rlast,
  input  logic                 m_axi_rvalid,
  output logic                 m_axi_rready,
  output logic [63:0]          m_axi_awaddr,
  output logic [ 7:0]          m_axi_awlen,
  output logic [ 0:0]          m_axi_awid,
  output logic [ 2:0]          m_axi_awsize,
  output logic [ 1:0]          m_axi_awburst,
  output logic                 m_axi_awvalid,
  input  logic                 m_axi_awready,
  output logic [DataBits-1:0]  m_axi_wdata,
  output logic [BeatBytes-1:0] m_axi_wstrb,
  output logic                 m_axi_wlast,
  output logic                 m_axi_wvalid,
  input  logic                 m_axi_wready,
  input  logic [ 0:0]          m_axi_bid,
  input  logic [ 1:0]          m_axi_bresp,
  input  logic                 m_axi_bvalid,
  output logic                 m_axi_bready
);

  assign {m_axi_arid, m_axi_awid} = '0;
  assign {m_axi_arburst, m_axi_awburst} = 4'b0101;
  assign m_axi_arsize = 3'($clog2(BeatBytes));
  assign m_axi_awsize = m_axi_arsize;

  axi_reader #(
    .BeatBytes(BeatBytes)
  ) u_reader (
    .quiet_o (read_quiet_o),
    .data_o  (read_data_o),
    .fault_o (read_fault_o),
    .oldest_o(read_oldest_o),
    .beat_o  (read_beat_o),
    .*
  );

  axi_writer #(
    .BeatBytes(BeatBytes)
  ) u_writer (
    .quiet_o      (write_quiet_o),
    .burst_valid_i(store_valid_i),
    .burst_ready_o(store_ready_o),
    .burst_i      (store_i),
    .fault_o      (write_fault_o),
    .oldest_o     (write_oldest_o),
    .beat_o       (write_beat_o),
    .*
  );

endmodule
