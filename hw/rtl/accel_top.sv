// SPDX-License-Identifier: Apache-2.0
// The accelerator: AXI4-Lite registers, one AXI4 master, an interrupt. See hw/doc/accelerator.md.

module accel_top #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned Requantizers = 8,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  parameter int unsigned AccumulatorWords = 512,
  parameter logic [63:0] ConfigHash = '0,
  localparam int unsigned DataBits = 8 * Lanes
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  output logic                              irq_o,

  input  logic [accel_pkg::AddressBits-1:0] s_axil_awaddr,
  input  logic [ 2:0]                       s_axil_awprot,
  input  logic                              s_axil_awvalid,
  output logic                              s_axil_awready,
  input  logic [31:0]                       s_axil_wdata,
  input  logic [ 3:0]                       s_axil_wstrb,
  input  logic                              s_axil_wvalid,
  output logic                              s_axil_wready,
  output logic [ 1:0]                       s_axil_bresp,
  output logic                              s_axil_bvalid,
  input  logic                              s_axil_bready,
  input  logic [accel_pkg::AddressBits-1:0] s_axil_araddr,
  input  logic [ 2:0]                       s_axil_arprot,
  input  logic                              s_axil_arvalid,
  output logic                              s_axil_arready,
  output logic [31:0]                       s_axil_rdata,
  output logic [ 1:0]                       s_axil_rresp,
  output logic                              s_axil_rvalid,
  input  logic                              s_axil_rready,

  output logic [ 0:0]                       m_axi_awid,
  output logic [63:0]                       m_axi_awaddr,
  output logic [ 7:0]                       m_axi_awlen,
  output logic [ 2:0]                       m_axi_awsize,
  output logic [ 1:0]                       m_axi_awburst,
  output logic [ 3:0]                       m_axi_awcache,
  output logic [ 2:0]                       m_axi_awprot,
  output logic                              m_axi_awvalid,
  input  logic                              m_axi_awready,
  output logic [DataBits-1:0]               m_axi_wdata,
  output logic [Lanes-1:0]                  m_axi_wstrb,
  output logic                              m_axi_wlast,
  output logic                              m_axi_wvalid,
  input  logic                              m_axi_wready,
  input  logic [ 0:0]                       m_axi_bid,
  input  logic [ 1:0]                       m_axi_bresp,
  input  logic                              m_axi_bvalid,
  output logic                              m_axi_bready,
  output logic [ 0:0]                       m_axi_arid,
  output logic [63:0]                       m_axi_araddr,
  output logic [ 7:0]                       m_axi_arlen,
  output logic [ 2:0]                       m_axi_arsize,
  output logic [ 1:0]                       m_axi_arburst,
  output logic [ 3:0]                       m_axi_arcache,
  output logic [ 2:0]                       m_axi_arprot,
  output logic                              m_axi_arvalid,
  input  logic                              m_axi_arready,
  input  logic [ 0:0]                       m_axi_rid,
  input  logic [DataBits-1:0]               m_axi_rdata,
  input  logic [ 1:0]                       m_axi_rresp,
  input  logic                              m_axi_rlast,
  input  logic                              m_axi_rvalid,
  output logic                              m_axi_rready
);

  if (Lanes != 8 && Lanes != 16) begin : gen_refuse_lanes
    $fatal(1, "Lanes must be 8 or 16");
  end
  if (NPe % Lanes != 0 || Pixels % 2 != 0 || Lanes % Requantizers != 0) begin : gen_refuse_shape
    $fatal(1, "NPe must be a multiple of Lanes, Pixels even, and Requantizers divide Lanes");
  end

  // constants of the bus: one ID, incrementing bursts of whole beats, modifiable and bufferable
  assign s_axil_bresp = 2'b00;
  assign s_axil_rresp = 2'b00;
  assign m_axi_awid = '0;
  assign m_axi_arid = '0;
  assign m_axi_awsize = 3'($clog2(Lanes));
  assign m_axi_arsize = 3'($clog2(Lanes));
  assign m_axi_awburst = 2'b01;
  assign m_axi_arburst = 2'b01;
  assign m_axi_awcache = 4'b0011;
  assign m_axi_arcache = 4'b0011;
  assign m_axi_awprot = 3'b000;
  assign m_axi_arprot = 3'b000;

  logic start, reset, accepted, busy, done, error, done_event, error_event;
  logic [63:0] window_base;
  logic [31:0] window_bytes, command_offset, command_count, watchdog;
  accel_pkg::error_e error_code;
  core_pkg::index_t error_index;
  core_pkg::tokens_t tokens;
  core_pkg::events_t events;
  logic [$bits(core_pkg::events_t)-1:0][63:0] counter;

  registers #(
    .ConfigHash(ConfigHash)
  ) u_registers (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .s_axil_awaddr   (s_axil_awaddr),
    .s_axil_awvalid  (s_axil_awvalid),
    .s_axil_awready  (s_axil_awready),
    .s_axil_wdata    (s_axil_wdata),
    .s_axil_wstrb    (s_axil_wstrb),
    .s_axil_wvalid   (s_axil_wvalid),
    .s_axil_wready   (s_axil_wready),
    .s_axil_bvalid   (s_axil_bvalid),
    .s_axil_bready   (s_axil_bready),
    .s_axil_araddr   (s_axil_araddr),
    .s_axil_arvalid  (s_axil_arvalid),
    .s_axil_arready  (s_axil_arready),
    .s_axil_rdata    (s_axil_rdata),
    .s_axil_rvalid   (s_axil_rvalid),
    .s_axil_rready   (s_axil_rready),
    .start_o         (start),
    .reset_o         (reset),
    .window_base_o   (window_base),
    .window_bytes_o  (window_bytes),
    .command_offset_o(command_offset),
    .command_count_o (command_count),
    .watchdog_o      (watchdog),
    .busy_i          (busy),
    .done_i          (done),
    .error_i         (error),
    .done_event_i    (done_event),
    .error_event_i   (error_event),
    .error_code_i    (error_code),
    .error_index_i   (error_index),
    .tokens_i        (tokens),
    .counter_i       (counter),
    .irq_o           (irq_o)
  );

  counters u_counters (
    .clk_i   (clk_i),
    .rst_ni  (rst_ni),
    .clear_i (accepted),
    .events_i(events),
    .count_o (counter)
  );

  core #(
    .NPe             (NPe),
    .Pixels          (Pixels),
    .Lanes           (Lanes),
    .Requantizers    (Requantizers),
    .ActivationWords (ActivationWords),
    .WeightWords     (WeightWords),
    .AccumulatorWords(AccumulatorWords)
  ) u_core (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .start_i         (start),
    .reset_i         (reset),
    .window_base_i   (window_base),
    .window_bytes_i  (window_bytes),
    .command_offset_i(command_offset),
    .command_count_i (command_count),
    .watchdog_i      (watchdog),
    .accepted_o      (accepted),
    .busy_o          (busy),
    .done_o          (done),
    .error_o         (error),
    .error_code_o    (error_code),
    .error_index_o   (error_index),
    .done_event_o    (done_event),
    .error_event_o   (error_event),
    .tokens_o        (tokens),
    .events_o        (events),
    .m_axi_awaddr    (m_axi_awaddr),
    .m_axi_awlen     (m_axi_awlen),
    .m_axi_awvalid   (m_axi_awvalid),
    .m_axi_awready   (m_axi_awready),
    .m_axi_wdata     (m_axi_wdata),
    .m_axi_wstrb     (m_axi_wstrb),
    .m_axi_wlast     (m_axi_wlast),
    .m_axi_wvalid    (m_axi_wvalid),
    .m_axi_wready    (m_axi_wready),
    .m_axi_bresp     (m_axi_bresp),
    .m_axi_bvalid    (m_axi_bvalid),
    .m_axi_bready    (m_axi_bready),
    .m_axi_araddr    (m_axi_araddr),
    .m_axi_arlen     (m_axi_arlen),
    .m_axi_arvalid   (m_axi_arvalid),
    .m_axi_arready   (m_axi_arready),
    .m_axi_rdata     (m_axi_rdata),
    .m_axi_rresp     (m_axi_rresp),
    .m_axi_rlast     (m_axi_rlast),
    .m_axi_rvalid    (m_axi_rvalid),
    .m_axi_rready    (m_axi_rready)
  );

  logic unused_bus;
  assign unused_bus = ^{s_axil_awprot, s_axil_arprot, m_axi_bid, m_axi_rid};

endmodule
