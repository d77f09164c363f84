// SPDX-License-Identifier: Apache-2.0
// What dram_walker.sv promises: every burst lies in the window, has 1 to 16 beats and crosses no
// multiple of 16; it holds until taken; a region ends with one last burst; nothing follows a fault.
//
// Products are cut: they may be anything but 0, which products of sizes above 0 are. That the
// bursts cover the region is tested, not proved.

module dram_walker_check (
  input logic             clk_i,
  input logic             clear_i,
  input logic             start_i,
  input core_pkg::index_t index_i,
  input logic [31:0]      window_bytes_i,
  input logic [31:0]      offset_i,
  input logic [15:0]      beats_i,
  input logic [15:0]      rows_i,
  input logic [15:0]      blocks_i,
  input logic [31:0]      row_pitch_i,
  input logic [31:0]      block_pitch_i,
  input logic             ready_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic idle, valid;
  core_pkg::burst_t burst;
  core_pkg::fault_t fault;

  dram_walker #(
    .BeatBytes(8)
  ) u_dut (
    .clk_i         (clk_i),
    .rst_ni        (started_q),
    .clear_i       (clear_i),
    .window_bytes_i(window_bytes_i),
    .start_i       (start_i),
    .idle_o        (idle),
    .index_i       (index_i),
    .offset_i      (offset_i),
    .beats_i       (beats_i),
    .rows_i        (rows_i),
    .blocks_i      (blocks_i),
    .row_pitch_i   (row_pitch_i),
    .block_pitch_i (block_pitch_i),
    .valid_o       (valid),
    .ready_i       (ready_i),
    .burst_o       (burst),
    .fault_o       (fault)
  );

  // regions begun whose last burst is not taken, by the handshakes alone
  logic [1:0] open_q = '0;
  logic offered_q = 1'b0, fault_q = 1'b0, total_q = 1'b0;
  core_pkg::burst_t burst_q;
  logic [31:0] window_q;

  always_ff @(posedge clk_i) begin
    window_q <= window_bytes_i;
    burst_q <= burst;
    offered_q <= started_q && valid && !ready_i && !clear_i;
    fault_q <= started_q && fault.valid && !clear_i;
    total_q <= started_q && u_dut.state_q == 2'd2 && !clear_i;
    if (!started_q || clear_i) open_q <= '0;
    else open_q <= open_q + 2'(start_i) - 2'(valid && ready_i && burst.last);
  end

  logic [4:0] beats;
  logic walking;
  logic [33:0] highest;
  assign beats = 5'(burst.beats_minus_one) + 5'd1;
  assign walking = u_dut.state_q == 2'd3;
  assign highest = 34'h2000_0000 + 34'hffff_ffff;  // a pitch beyond the last beat of 4 GB

  always_comb begin
    if (started_q) begin
      if (!idle) assume (!start_i);
      assume (window_bytes_i == window_q);
      assume (beats_i != '0 && rows_i != '0 && blocks_i != '0);
      if (total_q) assume (u_dut.left_q != '0 && u_dut.run_beats_q != '0);

      if (valid) begin
        assert (burst.offset[2:0] == '0);
        assert (5'(burst.offset[6:3]) + beats <= 5'd16);
        assert (33'(burst.offset) + {25'd0, beats, 3'd0} <= 33'(window_bytes_i));
      end
      if (offered_q) assert (valid && burst == burst_q);
      if (fault_q) assert (fault.valid);
      if (fault.valid) assert (!valid);

      assert (open_q == 2'(!idle) + 2'(valid && burst.last));
      if (walking && !fault.valid) begin
        assert (u_dut.left_q != '0 && u_dut.run_beats_q != '0);
        assert (u_dut.block_start_q <= u_dut.row_start_q);
        assert (u_dut.row_start_q <= u_dut.position_q);
        assert (u_dut.position_q <= highest);
      end
      if (!idle && !walking) begin
        assert (u_dut.position_q < 34'h2000_0000);
        assert (u_dut.row_start_q == u_dut.position_q);
        assert (u_dut.block_start_q == u_dut.position_q);
        assert (!fault.valid);
      end
      if (idle) assert (!fault.valid);

      cover (open_q == 2'd2);
      cover (fault.valid && open_q == 2'd1);
      cover (valid && ready_i && burst.last && beats == 5'd3);
    end
  end

endmodule
