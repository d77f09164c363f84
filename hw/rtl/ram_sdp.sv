// SPDX-License-Identifier: Apache-2.0
// Memory with one write and one read port; the word read appears a cycle later and then stays.
// Reading the word being written in the same cycle returns the old one here; no user relies on it.

module ram_sdp #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 512,
  localparam int unsigned IndexWidth = $clog2(Depth)
) (
  input  logic                  clk_i,

  input  logic                  write_i,
  input  logic [IndexWidth-1:0] write_index_i,
  input  logic [     Width-1:0] write_data_i,

  input  logic                  read_i,
  input  logic [IndexWidth-1:0] read_index_i,
  output logic [     Width-1:0] read_data_o
);

  logic [Width-1:0] memory[Depth];

  always_ff @(posedge clk_i) begin
    if (write_i) memory[write_index_i] <= write_data_i;
  end

  always_ff @(posedge clk_i) begin
    if (read_i) read_data_o <= memory[read_index_i];
  end

endmodule
