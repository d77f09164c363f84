// SPDX-License-Identifier: Apache-2.0
// FIFO with show-ahead output: data_o is the oldest entry whenever valid_o is high.
// ready_o and valid_o depend on the fill level alone, never on the other side's request.

module fifo #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 8,  // a power of two
  localparam int unsigned CountWidth = $clog2(Depth) + 1
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  clear_i,

  input  logic                  valid_i,
  output logic                  ready_o,
  input  logic [     Width-1:0] data_i,

  output logic                  valid_o,
  input  logic                  ready_i,
  output logic [     Width-1:0] data_o,

  output logic [CountWidth-1:0] count_o
);

  localparam int unsigned PointerWidth = CountWidth - 1;

  logic [Width-1:0] memory[Depth];
  logic [CountWidth-1:0] write_q, read_q;
  logic push, pop;

  assign count_o = write_q - read_q;
  assign ready_o = count_o != CountWidth'(Depth);
  assign valid_o = write_q != read_q;
  assign data_o = memory[read_q[PointerWidth-1:0]];
  assign push = valid_i && ready_o;
  assign pop = valid_o && ready_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q <= '0;
    end else if (clear_i) begin
      write_q <= '0;
      read_q <= '0;
    end else begin
      if (push) write_q <= write_q + 1'b1;
      if (pop) read_q <= read_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q[PointerWidth-1:0]] <= data_i;
  end

endmodule
