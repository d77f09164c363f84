// SPDX-License-Identifier: Apache-2.0
// The AXI4-Lite registers of accel_pkg.
//
// A write is taken when address and data are both there; one transfer each way at a time. Reading
// the low half of a counter keeps its high half for the read that follows. WINDOW_BASE keeps no
// bits below 4096: the 4 KB rule of bursts rests on that.

module registers #(
  parameter logic [63:0] ConfigHash = '0,
  localparam int unsigned AddressBits = accel_pkg::AddressBits,
  localparam int unsigned Counters = $bits(core_pkg::events_t)
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,

  input  logic [AddressBits-1:0]    s_axil_awaddr,
  input  logic                      s_axil_awvalid,
  output logic                      s_axil_awready,
  input  logic [31:0]               s_axil_wdata,
  input  logic [ 3:0]               s_axil_wstrb,
  input  logic                      s_axil_wvalid,
  output logic                      s_axil_wready,
  output logic                      s_axil_bvalid,
  input  logic                      s_axil_bready,
  input  logic [AddressBits-1:0]    s_axil_araddr,
  input  logic                      s_axil_arvalid,
  output logic                      s_axil_arready,
  output logic [31:0]               s_axil_rdata,
  output logic                      s_axil_rvalid,
  input  logic                      s_axil_rready,

  output logic                      start_o,
  output logic                      reset_o,
  output logic [63:0]               window_base_o,
  output logic [31:0]               window_bytes_o,
  output logic [31:0]               command_offset_o,
  output logic [31:0]               command_count_o,
  output logic [31:0]               watchdog_o,

  input  logic                      busy_i,
  input  logic                      done_i,
  input  logic                      error_i,
  input  logic                      done_event_i,
  input  logic                      error_event_i,
  input  accel_pkg::error_e         error_code_i,
  input  core_pkg::index_t          error_index_i,
  input  core_pkg::tokens_t         tokens_i,
  input  logic [Counters-1:0][63:0] counter_i,
  output logic                      irq_o
);

  import accel_pkg::*;

  localparam int unsigned IndexWidth = $clog2(Counters);

  // writes
  logic write;
  logic [AddressBits-1:0] write_address;
  logic [31:0] mask;
  assign write = s_axil_awvalid && s_axil_wvalid && (!s_axil_bvalid || s_axil_bready);
  assign s_axil_awready = write;
  assign s_axil_wready = write;
  assign write_address = {s_axil_awaddr[AddressBits-1:2], 2'b00};
  for (genvar i = 0; i < 4; i++) begin : gen_mask
    assign mask[8*i+:8] = {8{s_axil_wstrb[i]}};
  end

  logic [1:0] enable_q, status_q;
  logic [63:0] base_q;
  logic [31:0] written;
  assign written = s_axil_wdata & mask;

  function automatic logic [31:0] merge(logic [31:0] old, logic [31:0] value, logic [31:0] bits);
    return (old & ~bits) | value;
  endfunction

  logic [1:0] cleared, events;
  assign cleared = (write && write_address == RegInterruptStatus) ? written[1:0] : 2'b00;
  assign events = 2'(error_event_i) << BitInterruptStatusError |
                  2'(done_event_i) << BitInterruptStatusDone;
  assign start_o = write && write_address == RegControl && written[BitControlStart];
  assign reset_o = write && write_address == RegControl && written[BitControlReset];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s_axil_bvalid <= 1'b0;
      enable_q <= '0;
      status_q <= '0;
      base_q <= '0;
      window_bytes_o <= '0;
      command_offset_o <= '0;
      command_count_o <= '0;
      watchdog_o <= 32'h0010_0000;
    end else begin
      s_axil_bvalid <= write || (s_axil_bvalid && !s_axil_bready);
      status_q <= (status_q & ~cleared) | events;
      if (write && !busy_i) begin
        unique case (write_address)
          RegInterruptEnable: enable_q <= 2'(merge(32'(enable_q), written, mask));
          RegWindowBaseLow: base_q[31:0] <= merge(base_q[31:0], written, mask);
          RegWindowBaseHigh: base_q[63:32] <= merge(base_q[63:32], written, mask);
          RegWindowBytes: window_bytes_o <= merge(window_bytes_o, written, mask);
          RegCommandOffset: command_offset_o <= merge(command_offset_o, written, mask);
          RegCommandCount: command_count_o <= merge(command_count_o, written, mask);
          RegWatchdog: watchdog_o <= merge(watchdog_o, written, mask);
          default: ;
        endcase
      end
    end
  end
  assign window_base_o = {base_q[63:12], 12'h000};
  assign irq_o = (status_q & enable_q) != '0;

  // reads
  logic read, counter_read, high_half;
  logic [AddressBits-1:0] read_address;
  logic [31:0] value, kept_q;
  logic [IndexWidth-1:0] counter_index, kept_index_q;
  logic kept_valid_q;
  logic [63:0] counter;
  logic [31:0] status;

  assign s_axil_arready = !s_axil_rvalid || s_axil_rready;
  assign read = s_axil_arvalid && s_axil_arready;
  assign read_address = {s_axil_araddr[AddressBits-1:2], 2'b00};
  assign counter_read = read_address >= RegCyclesLow && read_address <= RegWriteBeatsHigh;
  assign counter_index = IndexWidth'((read_address - RegCyclesLow) >> 3);
  assign high_half = read_address[2];
  assign counter = counter_i[counter_index];
  assign status = 32'(busy_i) << BitStatusBusy | 32'(done_i) << BitStatusDone |
                  32'(error_i) << BitStatusError;

  always_comb begin
    value = '0;
    unique case (read_address)
      RegId: value = Magic;
      RegVersion: value = Version;
      RegConfigHashLow: value = ConfigHash[31:0];
      RegConfigHashHigh: value = ConfigHash[63:32];
      RegStatus: value = status;
      RegInterruptEnable: value = 32'(enable_q);
      RegInterruptStatus: value = 32'(status_q);
      RegWindowBaseLow: value = window_base_o[31:0];
      RegWindowBaseHigh: value = window_base_o[63:32];
      RegWindowBytes: value = window_bytes_o;
      RegCommandOffset: value = command_offset_o;
      RegCommandCount: value = command_count_o;
      RegWatchdog: value = watchdog_o;
      RegErrorCode: value = 32'(error_code_i);
      RegErrorIndex: value = error_index_i;
      RegLoadsDone: value = tokens_i.loads;
      RegComputesDone: value = tokens_i.computes;
      RegStoresDone: value = tokens_i.stores;
      default: ;
    endcase
    if (counter_read) begin
      value = counter[31:0];
      if (high_half) begin
        value = (kept_valid_q && kept_index_q == counter_index) ? kept_q : counter[63:32];
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      s_axil_rvalid <= 1'b0;
      kept_valid_q <= 1'b0;
    end else begin
      s_axil_rvalid <= read || (s_axil_rvalid && !s_axil_rready);
      if (read && counter_read) kept_valid_q <= !high_half;
    end
  end
  always_ff @(posedge clk_i) begin
    if (read) begin
      s_axil_rdata <= value;
      if (counter_read && !high_half) begin
        kept_q <= counter[63:32];
        kept_index_q <= counter_index;
      end
    end
  end

  logic unused_address;
  assign unused_address = ^{s_axil_awaddr[1:0], s_axil_araddr[1:0], base_q[11:0]};

endmodule
