// SPDX-License-Identifier: Apache-2.0
// One processing element for two pixels: a packed product per lane, two adder trees, two sums.
//
// (a1 * 2^16 + a0) * w holds a0 * w in bits 15:0, signed, and a1 * w in bits 31:16 less the borrow
// that bit 15 tells. Four cycles from operands to sums: product, sums of four, term, accumulator.

module pe #(
  parameter int unsigned Lanes = 16,
  localparam int unsigned Taps = accel_pkg::WindowTaps,
  localparam int unsigned Quads = Lanes / 4
) (
  input  logic                        clk_i,

  // operands, with step_i[0]; a lane takes its channel, or per channel its tap
  input  logic        [          3:0] step_i,        // the step is at product, sums, term, sum
  input  logic                        per_channel_i,
  input  logic        [Lanes-1:0][24:0] dense_i,
  input  logic        [ Taps-1:0][24:0] taps_i,
  input  logic        [Lanes-1:0][ 7:0] weight_i,

  // accumulator, with step_i[3]
  input  logic                        first_i,
  input  logic                        maximum_i,
  input  logic                        accumulate_i,
  input  logic        [  1:0][31:0]   initial_i,
  output logic        [  1:0][31:0]   sum_o
);

  logic signed [31:0] product_q[Lanes];
  logic signed [17:0] quad_q[2][Quads];
  logic signed [19:0] term_q[2];
  logic signed [31:0] sum_q[2];

  for (genvar l = 0; l < Lanes; l++) begin : gen_product
    logic signed [24:0] operand;
    if (l < Taps) begin : gen_tap
      assign operand = per_channel_i ? taps_i[l] : dense_i[l];
    end else begin : gen_channel
      assign operand = per_channel_i ? '0 : dense_i[l];
    end
    always_ff @(posedge clk_i) begin
      if (step_i[0]) product_q[l] <= 32'(operand) * 32'(signed'(weight_i[l]));
    end
  end

  function automatic logic signed [17:0] low(logic signed [15:0] product);
    return 18'(product);
  endfunction

  function automatic logic signed [17:0] high(logic signed [15:0] product, logic borrow);
    return 18'(product) + 18'(borrow);
  endfunction

  for (genvar q = 0; q < Quads; q++) begin : gen_quad
    logic signed [3:0][15:0] lows, highs;
    logic [3:0] borrows;
    for (genvar i = 0; i < 4; i++) begin : gen_part
      assign lows[i] = product_q[4*q+i][15:0];
      assign highs[i] = product_q[4*q+i][31:16];
      assign borrows[i] = product_q[4*q+i][15];
    end
    always_ff @(posedge clk_i) begin
      if (step_i[1]) begin
        quad_q[0][q] <= (low(lows[0]) + low(lows[1])) + (low(lows[2]) + low(lows[3]));
        quad_q[1][q] <= (high(highs[0], borrows[0]) + high(highs[1], borrows[1])) +
                        (high(highs[2], borrows[2]) + high(highs[3], borrows[3]));
      end
    end
  end

  for (genvar p = 0; p < 2; p++) begin : gen_pixel
    logic signed [19:0] term;
    logic signed [31:0] start, wide;

    always_comb begin
      term = '0;
      for (int unsigned q = 0; q < Quads; q++) term += 20'(quad_q[p][q]);
    end
    always_ff @(posedge clk_i) begin
      if (step_i[2]) term_q[p] <= term;
    end

    assign wide = 32'(term_q[p]);
    always_comb begin
      start = sum_q[p];
      if (first_i) begin
        if (accumulate_i) start = initial_i[p];
        else start = maximum_i ? 32'sh8000_0000 : '0;
      end
    end
    always_ff @(posedge clk_i) begin
      if (step_i[3]) begin
        if (maximum_i) sum_q[p] <= (wide > start) ? wide : start;
        else sum_q[p] <= start + wide;
      end
    end
    assign sum_o[p] = sum_q[p];
  end

endmodule
