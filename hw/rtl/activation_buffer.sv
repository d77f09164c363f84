// SPDX-License-Identifier: Apache-2.0
// The activation buffer: one write, a read per pixel slot, each slot with a copy of its own.

module activation_buffer #(
  parameter int unsigned Pixels = 2,
  parameter int unsigned WordBits = 128,
  parameter int unsigned Words = 8192,
  localparam int unsigned IndexWidth = $clog2(Words)
) (
  input  logic                                  clk_i,

  input  logic                                  write_i,
  input  logic [IndexWidth-1:0]                 write_index_i,
  input  logic [WordBits-1:0]                   write_data_i,

  input  logic                                  read_i,
  input  core_pkg::address_t [Pixels-1:0]       read_address_i,
  output logic [Pixels-1:0][WordBits-1:0]       read_data_o
);

  for (genvar j = 0; j < Pixels; j++) begin : gen_copy
    ram_sdp #(
      .Width(WordBits),
      .Depth(Words)
    ) u_ram (
      .clk_i        (clk_i),
      .write_i      (write_i),
      .write_index_i(write_index_i),
      .write_data_i (write_data_i),
      .read_i       (read_i),
      .read_index_i (IndexWidth'(read_address_i[j])),
      .read_data_o  (read_data_o[j])
    );
  end

  logic unused_address;
  assign unused_address = ^read_address_i;

endmodule
