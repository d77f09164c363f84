// SPDX-License-Identifier: Apache-2.0
// A buffer whose word is several beats wide: written a bank at a time, read whole.

module banked_buffer #(
  parameter int unsigned Banks = 16,
  parameter int unsigned BankBits = 128,
  parameter int unsigned Words = 1024,
  localparam int unsigned IndexWidth = $clog2(Words),
  localparam int unsigned BankWidth = $clog2(Banks)
) (
  input  logic                            clk_i,

  input  logic                            write_i,
  input  logic [IndexWidth-1:0]           write_index_i,
  input  logic [BankWidth-1:0]            write_bank_i,
  input  logic [BankBits-1:0]             write_data_i,

  input  logic                            read_i,
  input  logic [IndexWidth-1:0]           read_index_i,
  output logic [Banks-1:0][BankBits-1:0]  read_data_o
);

  for (genvar b = 0; b < Banks; b++) begin : gen_bank
    ram_sdp #(
      .Width(BankBits),
      .Depth(Words)
    ) u_ram (
      .clk_i        (clk_i),
      .write_i      (write_i && write_bank_i == BankWidth'(b)),
      .write_index_i(write_index_i),
      .write_data_i (write_data_i),
      .read_i       (read_i),
      .read_index_i (read_index_i),
      .read_data_o  (read_data_o[b])
    );
  end

endmodule
