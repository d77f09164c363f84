// SPDX-License-Identifier: Apache-2.0
// The AXI4 read channels: bursts of fetch and load out, beats back to whom they belong.
//
// Fetch goes first. Beats come back in order (one ID). From stop_i on no burst is accepted; an
// address already offered stays until the slave takes it, and beats on their way are dropped.

module axi_reader #(
  parameter int unsigned BeatBytes = 16,
  localparam int unsigned DataBits = 8 * BeatBytes
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                stop_i,
  output logic                quiet_o,

  input  logic [63:0]         window_base_i,

  input  logic                fetch_valid_i,
  output logic                fetch_ready_o,
  input  core_pkg::burst_t    fetch_i,
  output logic                fetch_beat_o,  // always taken: fetch asks for what it has room for

  input  logic                load_valid_i,
  output logic                load_ready_o,
  input  core_pkg::burst_t    load_i,
  output logic                load_beat_o,
  input  logic                load_beat_ready_i,

  output logic [DataBits-1:0] data_o,
  output core_pkg::fault_t    fault_o,
  output core_pkg::index_t    oldest_o,  // whose beat comes next, unless quiet
  output logic                beat_o,

  output logic [63:0]         m_axi_araddr,
  output logic [ 7:0]         m_axi_arlen,
  output logic                m_axi_arvalid,
  input  logic                m_axi_arready,
  input  logic [DataBits-1:0] m_axi_rdata,
  input  logic [ 1:0]         m_axi_rresp,
  input  logic                m_axi_rlast,
  input  logic                m_axi_rvalid,
  output logic                m_axi_rready
);

  localparam int unsigned InFlight = 16;
  localparam int unsigned PartWidth = $clog2(accel_pkg::CommandBytes / BeatBytes);

  typedef struct packed {
    logic fetch;
    core_pkg::index_t index;
  } origin_t;

  logic address_free, granted, origin_ready, origin_valid;
  core_pkg::burst_t burst;
  origin_t origin;

  assign address_free = !m_axi_arvalid || m_axi_arready;
  assign burst = fetch_valid_i ? fetch_i : load_i;
  assign granted = (fetch_valid_i || load_valid_i) && address_free && origin_ready && !stop_i;
  assign fetch_ready_o = address_free && origin_ready && !stop_i;
  assign load_ready_o = address_free && origin_ready && !stop_i && !fetch_valid_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) m_axi_arvalid <= 1'b0;
    else if (address_free) m_axi_arvalid <= granted;
  end
  always_ff @(posedge clk_i) begin
    if (granted) begin
      m_axi_araddr <= window_base_i + 64'(burst.offset);
      m_axi_arlen <= 8'(burst.beats_minus_one);
    end
  end

  logic last_beat;
  logic [$clog2(InFlight):0] unused_count;
  fifo #(
    .Width($bits(origin_t)),
    .Depth(InFlight)
  ) u_origins (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(1'b0),
    .valid_i(granted),
    .ready_o(origin_ready),
    .data_i ({fetch_valid_i, burst.index}),
    .valid_o(origin_valid),
    .ready_i(last_beat),
    .data_o (origin),
    .count_o(unused_count)
  );

  assign m_axi_rready = origin_valid && (origin.fetch || load_beat_ready_i || stop_i);
  assign beat_o = m_axi_rvalid && m_axi_rready;
  assign last_beat = beat_o && m_axi_rlast;
  assign fetch_beat_o = beat_o && origin.fetch && !stop_i;
  assign load_beat_o = beat_o && !origin.fetch && !stop_i;
  assign data_o = m_axi_rdata;

  // of the beats of a fetch, the command they belong to
  logic [3:0] beat_q;
  core_pkg::index_t index;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) beat_q <= '0;
    else if (beat_o) beat_q <= m_axi_rlast ? '0 : beat_q + 4'd1;
  end
  assign index = origin.index + (origin.fetch ? 32'(beat_q >> PartWidth) : '0);

  assign fault_o = '{
      valid: beat_o && m_axi_rresp[1],
      code: m_axi_rresp[0] ? accel_pkg::ErrorReadDecerr : accel_pkg::ErrorReadSlverr,
      index: index};
  assign oldest_o = origin.index;
  assign quiet_o = !origin_valid;

  logic unused_burst;
  assign unused_burst = burst.last;

endmodule
