// SPDX-License-Identifier: Apache-2.0
// One lane from sum to code, a result every cycle, seven cycles after its operands:
//   v = ((sum + bias) * multiplier + half) >> shift, the same for the addend, zero point, clamp.
// Half up is done as ((product >> (shift - 1)) + 1) >> 1.

module requantizer (
  input  logic              clk_i,
  input  logic              valid_i,

  input  logic       [31:0] sum_i,
  input  logic       [31:0] bias_i,
  input  logic       [15:0] multiplier_i,
  input  logic       [ 5:0] shift_i,
  input  logic signed [8:0] addend_i,    // less its zero point
  input  core_pkg::finish_t finish_i,

  output logic       [ 7:0] code_o
);

  localparam int unsigned Stages = 6;

  core_pkg::finish_t finish_q[Stages:1];
  logic [5:0] shift_q[3];
  logic [Stages:1] valid_q;

  logic signed [31:0] sum_q;
  logic [15:0] multiplier_q;
  logic signed [8:0] addend_q;
  logic signed [47:0] product_q, wide_q, moved_q;  // two registers for the multiplier's pipeline
  logic signed [25:0] addend_product_q, addend_wide_q, addend_moved_q;
  logic signed [24:0] scaled_q, addend_scaled_q;
  logic signed [26:0] total_q;

  // (v + 1) >> 1 of the moved product; beyond 25 bits the clamp decides whatever is added
  function automatic logic signed [24:0] close(logic signed [47:0] moved);
    logic signed [47:0] rounded;
    rounded = (moved + 48'sd1) >>> 1;
    if (rounded > 48'sd16777215) return 25'sd16777215;
    if (rounded < -48'sd16777216) return -25'sd16777216;
    return 25'(rounded);
  endfunction

  function automatic logic signed [25:0] half_up(logic signed [25:0] moved);
    return 26'((27'(moved) + 27'sd1) >>> 1);
  endfunction

  always_ff @(posedge clk_i) begin
    valid_q <= {valid_q[Stages-1:1], valid_i};
    if (valid_i) begin
      sum_q <= signed'(sum_i + bias_i);
      multiplier_q <= multiplier_i;
      shift_q[0] <= shift_i - 6'd1;
      addend_q <= addend_i;
      finish_q[1] <= finish_i;
    end
    if (valid_q[1]) begin
      product_q <= 48'(sum_q) * 48'(signed'({1'b0, multiplier_q}));
      addend_product_q <= 26'(addend_q) * 26'(signed'({1'b0, finish_q[1].addend_multiplier}));
      shift_q[1] <= shift_q[0];
      finish_q[2] <= finish_q[1];
    end
    if (valid_q[2]) begin
      wide_q <= product_q;
      addend_wide_q <= addend_product_q;
      shift_q[2] <= shift_q[1];
      finish_q[3] <= finish_q[2];
    end
    if (valid_q[3]) begin
      moved_q <= wide_q >>> shift_q[2];
      addend_moved_q <= addend_wide_q >>> (finish_q[3].addend_shift - 6'd1);
      finish_q[4] <= finish_q[3];
    end
    if (valid_q[4]) begin
      scaled_q <= close(moved_q);
      addend_scaled_q <= 25'(half_up(addend_moved_q));
      finish_q[5] <= finish_q[4];
    end
    if (valid_q[5]) begin
      total_q <= 27'(scaled_q) + 27'(signed'(finish_q[5].output_zero)) +
          (finish_q[5].residual ? 27'(addend_scaled_q) : 27'sd0);
      finish_q[6] <= finish_q[5];
    end
    if (valid_q[6]) begin
      if (total_q < 27'(signed'(finish_q[6].low))) code_o <= finish_q[6].low;
      else if (total_q > 27'(signed'(finish_q[6].high))) code_o <= finish_q[6].high;
      else code_o <= total_q[7:0];
    end
  end

endmodule
