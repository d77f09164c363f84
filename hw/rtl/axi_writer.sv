// SPDX-License-Identifier: Apache-2.0
// The AXI4 write channels: addresses and data of bursts, responses counted per command.
//
// Up to 8 bursts may wait for their response. From stop_i on no burst is accepted and beats that
// issued bursts still owe go out with all strobes low.

module axi_writer #(
  parameter int unsigned BeatBytes = 16,
  localparam int unsigned DataBits = 8 * BeatBytes
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 stop_i,
  output logic                 quiet_o,

  input  logic [63:0]          window_base_i,

  input  logic                 burst_valid_i,
  output logic                 burst_ready_o,
  input  core_pkg::burst_t     burst_i,

  input  logic                 data_valid_i,
  output logic                 data_ready_o,
  input  logic [DataBits-1:0]  data_i,

  output logic                 done_o,  // the last burst of a command has its response
  output core_pkg::fault_t     fault_o,
  output core_pkg::index_t     oldest_o,  // whose response comes next, unless quiet
  output logic                 beat_o,
  output logic                 response_o,

  output logic [63:0]          m_axi_awaddr,
  output logic [ 7:0]          m_axi_awlen,
  output logic                 m_axi_awvalid,
  input  logic                 m_axi_awready,
  output logic [DataBits-1:0]  m_axi_wdata,
  output logic [BeatBytes-1:0] m_axi_wstrb,
  output logic                 m_axi_wlast,
  output logic                 m_axi_wvalid,
  input  logic                 m_axi_wready,
  input  logic [ 1:0]          m_axi_bresp,
  input  logic                 m_axi_bvalid,
  output logic                 m_axi_bready
);

  localparam int unsigned InFlight = 8;
  localparam int unsigned CountWidth = $clog2(InFlight) + 1;

  typedef struct packed {
    logic last;
    core_pkg::index_t index;
  } origin_t;

  logic address_free, granted, origin_ready, origin_valid, length_ready, length_valid;
  logic [3:0] length;
  origin_t origin;
  logic [CountWidth-1:0] unused_origin_count, unused_length_count;

  assign address_free = !m_axi_awvalid || m_axi_awready;
  assign burst_ready_o = address_free && origin_ready && length_ready && !stop_i;
  assign granted = burst_valid_i && burst_ready_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) m_axi_awvalid <= 1'b0;
    else if (address_free) m_axi_awvalid <= granted;
  end
  always_ff @(posedge clk_i) begin
    if (granted) begin
      m_axi_awaddr <= window_base_i + 64'(burst_i.offset);
      m_axi_awlen <= 8'(burst_i.beats_minus_one);
    end
  end

  // bursts that wait for their response
  fifo #(
    .Width($bits(origin_t)),
    .Depth(InFlight)
  ) u_origins (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(1'b0),
    .valid_i(granted),
    .ready_o(origin_ready),
    .data_i ({burst_i.last, burst_i.index}),
    .valid_o(origin_valid),
    .ready_i(response_o),
    .data_o (origin),
    .count_o(unused_origin_count)
  );

  // bursts that wait for their data
  logic beat_free, take, burst_end;
  logic [3:0] beat_q;
  fifo #(
    .Width(4),
    .Depth(InFlight)
  ) u_lengths (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(1'b0),
    .valid_i(granted),
    .ready_o(length_ready),
    .data_i (burst_i.beats_minus_one),
    .valid_o(length_valid),
    .ready_i(burst_end),
    .data_o (length),
    .count_o(unused_length_count)
  );

  assign beat_free = !m_axi_wvalid || m_axi_wready;
  assign take = length_valid && beat_free && (data_valid_i || stop_i);
  assign burst_end = take && beat_q == length;
  assign data_ready_o = length_valid && beat_free && !stop_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      m_axi_wvalid <= 1'b0;
      beat_q <= '0;
    end else begin
      if (beat_free) m_axi_wvalid <= take;
      if (take) beat_q <= burst_end ? '0 : beat_q + 4'd1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (take) begin
      m_axi_wdata <= data_i;
      m_axi_wstrb <= {BeatBytes{!stop_i}};
      m_axi_wlast <= burst_end;
    end
  end
  assign beat_o = m_axi_wvalid && m_axi_wready;

  assign m_axi_bready = origin_valid;
  assign response_o = m_axi_bvalid && m_axi_bready;
  assign done_o = response_o && origin.last && !stop_i;
  assign fault_o = '{
      valid: response_o && m_axi_bresp[1],
      code: m_axi_bresp[0] ? accel_pkg::ErrorWriteDecerr : accel_pkg::ErrorWriteSlverr,
      index: origin.index};
  assign oldest_o = origin.index;
  assign quiet_o = !origin_valid;

endmodule
