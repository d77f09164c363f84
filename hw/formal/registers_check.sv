// SPDX-License-Identifier: Apache-2.0
// What registers.sv promises on AXI4-Lite: one response per request, held until taken.

module registers_check (
  input logic                                          clk_i,
  input logic [accel_pkg::AddressBits-1:0]             awaddr_i,
  input logic                                          awvalid_i,
  input logic [31:0]                                   wdata_i,
  input logic [3:0]                                    wstrb_i,
  input logic                                          wvalid_i,
  input logic                                          bready_i,
  input logic [accel_pkg::AddressBits-1:0]             araddr_i,
  input logic                                          arvalid_i,
  input logic                                          rready_i,
  input logic                                          busy_i,
  input logic                                          done_event_i,
  input logic                                          error_event_i,
  input core_pkg::tokens_t                             tokens_i,
  input logic [$bits(core_pkg::events_t)-1:0][63:0]    counter_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic awready, wready, bvalid, arready, rvalid, start, reset, irq;
  logic [31:0] rdata, window_bytes, command_offset, command_count, watchdog;
  logic [63:0] window_base;

  registers u_dut (
    .clk_i           (clk_i),
    .rst_ni          (started_q),
    .s_axil_awaddr   (awaddr_i),
    .s_axil_awvalid  (awvalid_i),
    .s_axil_awready  (awready),
    .s_axil_wdata    (wdata_i),
    .s_axil_wstrb    (wstrb_i),
    .s_axil_wvalid   (wvalid_i),
    .s_axil_wready   (wready),
    .s_axil_bvalid   (bvalid),
    .s_axil_bready   (bready_i),
    .s_axil_araddr   (araddr_i),
    .s_axil_arvalid  (arvalid_i),
    .s_axil_arready  (arready),
    .s_axil_rdata    (rdata),
    .s_axil_rvalid   (rvalid),
    .s_axil_rready   (rready_i),
    .start_o         (start),
    .reset_o         (reset),
    .window_base_o   (window_base),
    .window_bytes_o  (window_bytes),
    .command_offset_o(command_offset),
    .command_count_o (command_count),
    .watchdog_o      (watchdog),
    .busy_i          (busy_i),
    .done_i          (1'b0),
    .error_i         (1'b0),
    .done_event_i    (done_event_i),
    .error_event_i   (error_event_i),
    .error_code_i    (accel_pkg::ErrorNone),
    .error_index_i   ('0),
    .tokens_i        (tokens_i),
    .counter_i       (counter_i),
    .irq_o           (irq)
  );

  logic written, answered, asked, told;
  assign written = awvalid_i && awready;
  assign answered = bvalid && bready_i;
  assign asked = arvalid_i && arready;
  assign told = rvalid && rready_i;

  logic [1:0] writes_q = '0, reads_q = '0;
  logic b_offered_q = 1'b0, r_offered_q = 1'b0, busy_q = 1'b0, event_q = 1'b0;
  logic [31:0] rdata_q;
  logic [127:0] job_q;

  always_ff @(posedge clk_i) begin
    b_offered_q <= started_q && bvalid && !bready_i;
    r_offered_q <= started_q && rvalid && !rready_i;
    busy_q <= started_q && busy_i;
    event_q <= started_q && (done_event_i || error_event_i);
    rdata_q <= rdata;
    job_q <= {window_base[31:0], window_bytes, command_offset, command_count};
    if (!started_q) begin
      writes_q <= '0;
      reads_q <= '0;
    end else begin
      writes_q <= writes_q + 2'(written) - 2'(answered);
      reads_q <= reads_q + 2'(asked) - 2'(told);
    end
  end

  always_comb begin
    if (started_q) begin
      assert (awready == wready);
      if (awready) assert (awvalid_i && wvalid_i);
      assert (writes_q == 2'(bvalid));
      assert (reads_q == 2'(rvalid));
      if (b_offered_q) assert (bvalid);
      if (r_offered_q) assert (rvalid && rdata == rdata_q);
      if (start || reset) assert (written);
      assert (window_base[11:0] == '0);
      if (busy_q) begin
        assert ({window_base[31:0], window_bytes, command_offset, command_count} == job_q);
      end
      if (event_q) assert (u_dut.status_q != '0);
      cover (answered && written && told && asked);
      cover (start && window_bytes == 32'h1234_5000);
    end
  end

endmodule
