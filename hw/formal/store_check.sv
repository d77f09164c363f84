// SPDX-License-Identifier: Apache-2.0
// What store_unit.sv promises: no STORE begins without its tokens, each gives the bus one last
// burst, its counter of open commands is exact and never wraps, and a word that was read always
// finds room. Products of the walker are cut.

module store_check (
  input logic                    clk_i,
  input logic                    clear_i,
  input logic                    command_valid_i,
  input core_pkg::store_entry_t  command_i,
  input core_pkg::tokens_t       tokens_i,
  input logic [31:0]             window_bytes_i,
  input logic                    burst_ready_i,
  input logic                    data_ready_i,
  input logic [63:0]             read_data_i,
  input logic                    done_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic command_ready, burst_valid, data_valid, read, busy, waits;
  core_pkg::burst_t burst;
  logic [63:0] data;
  logic [$clog2(accel_pkg::OutputWords)-1:0] read_index;
  core_pkg::fault_t fault;

  store_unit #(
    .Lanes(8)
  ) u_dut (
    .clk_i          (clk_i),
    .rst_ni         (started_q),
    .clear_i        (clear_i),
    .command_valid_i(command_valid_i),
    .command_ready_o(command_ready),
    .command_i      (command_i),
    .tokens_i       (tokens_i),
    .window_bytes_i (window_bytes_i),
    .burst_valid_o  (burst_valid),
    .burst_ready_i  (burst_ready_i),
    .burst_o        (burst),
    .data_valid_o   (data_valid),
    .data_ready_i   (data_ready_i),
    .data_o         (data),
    .read_o         (read),
    .read_index_o   (read_index),
    .read_data_i    (read_data_i),
    .done_i         (done_i),
    .fault_o        (fault),
    .busy_o         (busy),
    .wait_o         (waits)
  );

  // commands begun and not complete; those of them that only wait for their responses
  logic begins, granted;
  logic [3:0] open_q = '0, answered_q = '0;
  logic offered_q = 1'b0;
  logic [63:0] data_q;
  assign begins = command_valid_i && command_ready;
  assign granted = burst_valid && burst_ready_i && burst.last;

  always_ff @(posedge clk_i) begin
    offered_q <= started_q && data_valid && !data_ready_i && !clear_i;
    data_q <= data;
    if (!started_q || clear_i) begin
      open_q <= '0;
      answered_q <= '0;
    end else begin
      open_q <= open_q + 4'(begins) - 4'(done_i);
      answered_q <= answered_q + 4'(granted) - 4'(done_i);
    end
  end

  always_comb begin
    if (started_q) begin
      // what axi_writer.sv promises: at most 8 bursts without response
      if (answered_q == '0) assume (!done_i);
      if (answered_q == 4'd8) assume (!burst_ready_i);

      if (command_ready) begin
        assert (command_valid_i && !clear_i);
        assert (tokens_i.loads >= {8'd0, command_i.command.wait_load});
        assert (tokens_i.computes >= {8'd0, command_i.command.wait_compute});
        assert (tokens_i.stores >= {8'd0, command_i.command.wait_store});
      end
      if (waits) assert (!command_ready);

      assert (open_q <= 4'd10 && answered_q <= 4'd8);
      assert (u_dut.open_q == {1'b0, open_q});
      assert (busy == (open_q != '0));
      assert (open_q == answered_q + 4'(!u_dut.walker_idle) + 4'(burst_valid && burst.last));

      // words: read only with room, held until taken
      assert (u_dut.count <= 4'd8);
      if (u_dut.read_valid_q) assert (u_dut.unused_data_ready);
      if (read) assert (u_dut.address < 26'(accel_pkg::OutputWords));
      if (offered_q) assert (data_valid && data == data_q);

      cover (open_q == 4'd3 && done_i);
      cover (u_dut.count == 4'd8);
    end
  end

endmodule
