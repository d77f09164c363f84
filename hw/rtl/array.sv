// SPDX-License-Identifier: Apache-2.0
// The array: NPe elements times Pixels slots, from operands to sums, and the accumulator buffer.
//
// stage  0      1        2         3     4       5
//        words  packed,  products  sums  terms   sums of the group, initial values
//               weights
// A step enters with its window words and leaves five cycles later; nothing ever stalls it.

module array #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned AccumulatorWords = 512,
  localparam int unsigned Taps = accel_pkg::WindowTaps,
  localparam int unsigned Pairs = Pixels / 2
) (
  input  logic                                        clk_i,
  input  logic                                        rst_ni,
  input  logic                                        clear_i,

  input  logic                                        valid_i,
  input  core_pkg::step_t                             step_i,
  input  logic [Pixels-1:0][Taps-1:0][Lanes-1:0][7:0] word_i,
  input  logic [NPe-1:0][Lanes-1:0][7:0]              weight_i,  // one cycle after the words

  output logic                                        valid_o,   // of a group's last step
  output logic [NPe-1:0][Pixels-1:0][31:0]            sum_o
);

  localparam int unsigned Stages = 5;
  localparam int unsigned AccumulatorBits = NPe * Pixels * 32;
  localparam int unsigned IndexWidth = $clog2(AccumulatorWords);

  logic [Stages:0] valid_q;  // index 0 is the input
  core_pkg::step_t step_q[Stages+1];
  logic [Pairs-1:0][Taps-1:0][Lanes-1:0][24:0] packed_q;
  logic [NPe-1:0][Pixels-1:0][31:0] initial_value;

  assign valid_q[0] = valid_i && step_i.fire;
  assign step_q[0] = step_i;

  for (genvar i = 1; i <= Stages; i++) begin : gen_stage
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) valid_q[i] <= 1'b0;
      else valid_q[i] <= valid_q[i-1] && !clear_i;
    end
    always_ff @(posedge clk_i) begin
      if (valid_q[i-1]) step_q[i] <= step_q[i-1];
    end
  end

  function automatic logic [24:0] pack(logic [7:0] high, logic [7:0] low);
    return {{high[7]}, high, 16'h0} + {{17{low[7]}}, low};
  endfunction

  for (genvar p = 0; p < Pairs; p++) begin : gen_pack
    for (genvar l = 0; l < Lanes; l++) begin : gen_lane
      always_ff @(posedge clk_i) begin
        if (valid_q[0]) packed_q[p][0][l] <= pack(word_i[2*p+1][0][l], word_i[2*p][0][l]);
      end
      for (genvar t = 1; t < Taps; t++) begin : gen_tap
        always_ff @(posedge clk_i) begin
          if (valid_q[0] && step_i.per_channel) begin
            packed_q[p][t][l] <= pack(word_i[2*p+1][t][l], word_i[2*p][t][l]);
          end
        end
      end
    end
  end

  for (genvar e = 0; e < NPe; e++) begin : gen_element
    for (genvar p = 0; p < Pairs; p++) begin : gen_pair
      logic [Taps-1:0][24:0] taps;
      for (genvar t = 0; t < Taps; t++) begin : gen_tap
        assign taps[t] = packed_q[p][t][e%Lanes];
      end
      pe #(
        .Lanes(Lanes)
      ) u_pe (
        .clk_i        (clk_i),
        .step_i       (valid_q[4:1]),
        .per_channel_i(step_q[1].per_channel),
        .dense_i      (packed_q[p][0]),
        .taps_i       (taps),
        .weight_i     (weight_i[e]),
        .first_i      (step_q[4].first),
        .maximum_i    (step_q[4].maximum),
        .accumulate_i (step_q[4].accumulate),
        .initial_i    (initial_value[e][2*p+:2]),
        .sum_o        (sum_o[e][2*p+:2])
      );
    end
  end

  assign valid_o = valid_q[Stages] && step_q[Stages].last;

  ram_sdp #(
    .Width(AccumulatorBits),
    .Depth(AccumulatorWords)
  ) u_accumulators (
    .clk_i        (clk_i),
    .write_i      (valid_o && step_q[Stages].partial && !clear_i),
    .write_index_i(IndexWidth'(step_q[Stages].accumulator)),
    .write_data_i (sum_o),
    .read_i       (valid_q[3] && step_q[3].first && step_q[3].accumulate),
    .read_index_i (IndexWidth'(step_q[3].accumulator)),
    .read_data_o  (initial_value)
  );

endmodule
