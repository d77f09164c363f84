// SPDX-License-Identifier: Apache-2.0
// What fifo.sv promises: entries leave in order, unchanged, none lost, none invented.
//
// One entry, chosen by the solver, is followed from its push to its pop.

module fifo_check #(
  parameter int unsigned Width = 4,
  parameter int unsigned Depth = 4
) (
  input logic             clk_i,
  input logic             clear_i,
  input logic             valid_i,
  input logic [Width-1:0] data_i,
  input logic             ready_i,
  input logic             choose_i
);

  localparam int unsigned CountWidth = $clog2(Depth) + 1;
  localparam int unsigned IndexWidth = $clog2(Depth);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic ready_o, valid_o;
  logic [Width-1:0] data_o;
  logic [CountWidth-1:0] count_o;

  fifo #(
    .Width(Width),
    .Depth(Depth)
  ) u_dut (
    .clk_i  (clk_i),
    .rst_ni (started_q),
    .clear_i(clear_i),
    .valid_i(valid_i),
    .ready_o(ready_o),
    .data_i (data_i),
    .valid_o(valid_o),
    .ready_i(ready_i),
    .data_o (data_o),
    .count_o(count_o)
  );

  logic push, pop;
  assign push = valid_i && ready_o;
  assign pop = valid_o && ready_i;

  // the fill level by the handshakes alone, and the entries before the chosen one
  logic [CountWidth-1:0] level_q = '0, ahead_q = '0;
  logic chosen_q = 1'b0;
  logic [Width-1:0] value_q;

  always_ff @(posedge clk_i) begin
    if (!started_q || clear_i) begin
      level_q <= '0;
      chosen_q <= 1'b0;
    end else begin
      level_q <= level_q + CountWidth'(push) - CountWidth'(pop);
      if (chosen_q) begin
        if (pop) begin
          if (ahead_q == '0) chosen_q <= 1'b0;
          else ahead_q <= ahead_q - 1'b1;
        end
      end else if (push && choose_i) begin
        chosen_q <= 1'b1;
        value_q <= data_i;
        ahead_q <= level_q - CountWidth'(pop);
      end
    end
  end

  logic stalled_q = 1'b0;
  logic [Width-1:0] stalled_data_q;
  always_ff @(posedge clk_i) begin
    stalled_q <= started_q && valid_o && !ready_i && !clear_i;
    stalled_data_q <= data_o;
  end

  // where the chosen entry lies: what makes the proof inductive
  logic [IndexWidth-1:0] place;
  assign place = u_dut.read_q[IndexWidth-1:0] + ahead_q[IndexWidth-1:0];

  always_comb begin
    if (started_q) begin
      assert (level_q <= CountWidth'(Depth));
      assert (count_o == level_q);
      assert (ready_o == (level_q != CountWidth'(Depth)));
      assert (valid_o == (level_q != '0));
      if (chosen_q) begin
        assert (ahead_q < level_q);
        assert (u_dut.memory[place] == value_q);
        if (ahead_q == '0) assert (data_o == value_q);
      end
      if (stalled_q) assert (valid_o && data_o == stalled_data_q);
      cover (level_q == CountWidth'(Depth) && pop);
      cover (chosen_q && ahead_q == '0 && pop && value_q == Width'(5));
    end
  end

endmodule
