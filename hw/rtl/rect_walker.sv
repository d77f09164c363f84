// SPDX-License-Identifier: Apache-2.0
// Walks the words of a region of a buffer: blocks of rows of columns, a word per advance.

module rect_walker (
  input  logic               clk_i,

  input  logic               start_i,  // takes the region and stands on its first word
  input  core_pkg::address_t base_i,
  input  logic [16:0]        cols_i,
  input  logic [16:0]        rows_i,
  input  logic [15:0]        blocks_i,
  input  logic [15:0]        row_pitch_i,
  input  logic [15:0]        block_pitch_i,

  input  logic               advance_i,
  output core_pkg::address_t address_o,
  output logic [16:0]        x_o,
  output logic [16:0]        y_o,
  output logic               row_end_o,
  output logic               last_o
);

  import core_pkg::address_t;

  logic [16:0] cols_q, rows_q;
  logic [15:0] row_pitch_q, block_pitch_q, blocks_left_q;
  address_t row_q, block_q, next_row, next_block;
  logic row_last;

  assign next_row = row_q + address_t'(row_pitch_q);
  assign next_block = block_q + address_t'(block_pitch_q);
  assign row_end_o = x_o == cols_q - 17'd1;
  assign row_last = y_o == rows_q - 17'd1;
  assign last_o = row_end_o && row_last && blocks_left_q == 16'd1;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      cols_q <= cols_i;
      rows_q <= rows_i;
      blocks_left_q <= blocks_i;
      row_pitch_q <= row_pitch_i;
      block_pitch_q <= block_pitch_i;
      address_o <= base_i;
      row_q <= base_i;
      block_q <= base_i;
      x_o <= '0;
      y_o <= '0;
    end else if (advance_i) begin
      address_o <= address_o + address_t'(1);
      x_o <= x_o + 17'd1;
      if (row_end_o) begin
        x_o <= '0;
        y_o <= y_o + 17'd1;
        address_o <= next_row;
        row_q <= next_row;
        if (row_last) begin
          y_o <= '0;
          blocks_left_q <= blocks_left_q - 16'd1;
          address_o <= next_block;
          row_q <= next_block;
          block_q <= next_block;
        end
      end
    end
  end

endmodule
