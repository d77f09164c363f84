// SPDX-License-Identifier: Apache-2.0
// Selects what a pixel slot shows the array: the word just read, or the last words of a kernel row.
//
// Each of WindowRows shift registers keeps WindowTaps - 1 words; together with the word that
// arrives they are the columns of one kernel row. word_o[t] is column t, 0 from step.window on.

module window_buffer #(
  parameter int unsigned WordBits = 128,
  localparam int unsigned Taps = accel_pkg::WindowTaps,
  localparam int unsigned Rows = accel_pkg::WindowRows
) (
  input  logic                          clk_i,
  input  logic                          valid_i,
  input  logic                          shift_i,
  input  logic [           3:0]         row_i,
  input  logic [           3:0]         window_i,
  input  logic [  WordBits-1:0]         word_i,
  output logic [Taps-1:0][WordBits-1:0] word_o
);

  logic [Taps-2:0][WordBits-1:0] history[Rows];
  logic [Taps-1:0][WordBits-1:0] seen, column;

  assign seen = {word_i, history[row_i]};

  always_ff @(posedge clk_i) begin
    if (valid_i && shift_i) history[row_i] <= seen[Taps-1:1];
  end

  always_comb begin
    column = '0;
    unique case (window_i)
      4'd2: column[1:0] = seen[4:3];
      4'd3: column[2:0] = seen[4:2];
      4'd4: column[3:0] = seen[4:1];
      4'd5: column = seen;
      default: column[0] = word_i;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      if (shift_i) begin
        word_o <= column;
      end else begin
        word_o[0] <= word_i;
        word_o[Taps-1:1] <= '0;
      end
    end
  end

  if (Taps != 5) begin : gen_refuse
    $fatal(1, "window_buffer is written for five taps");
  end

endmodule
