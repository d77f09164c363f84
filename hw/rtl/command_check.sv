// SPDX-License-Identifier: Apache-2.0
// Checks a command as the document lists it: opcode, fields, tokens, alignment; the first wins.
//
// The command stays on the input for three cycles; products are formed in the first two, the
// result is valid in the third.

module command_check #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Lanes = 16
) (
  input  logic               clk_i,
  input  logic [511:0]       command_i,
  input  core_pkg::tokens_t  dispatched_i,  // commands per unit before this one
  output accel_pkg::error_e  error_o
);

  import accel_pkg::*;

  localparam int unsigned OffsetWidth = $clog2(Lanes);

  load_command_t load;
  compute_command_t compute;
  store_command_t store;
  assign load = command_i;
  assign compute = command_i;
  assign store = command_i;

  // products, and products modulo the beats of a word
  logic [31:0] pixels_q, steps_q;
  logic [15:0] taps_q, weight_rows_q, weight_beats_q;
  logic [2:0] parameter_rows_q, parameter_beats_q;

  function automatic logic [15:0] modulo(logic [15:0] value);
    return value % 16'(NPe);
  endfunction

  always_ff @(posedge clk_i) begin
    pixels_q <= 32'(compute.rows) * 32'(compute.cols);
    taps_q <= 16'(compute.k_rows) * 16'(compute.k_cols);
    steps_q <= 32'(taps_q) * 32'(compute.k_blocks);
    weight_rows_q <= modulo(load.rows) * modulo(load.cols);
    weight_beats_q <= modulo(weight_rows_q) * modulo(load.blocks);
    parameter_rows_q <= load.rows[2:0] * load.cols[2:0];
    parameter_beats_q <= parameter_rows_q * load.blocks[2:0];
  end

  logic unpadded, load_fields, window_fields, compute_fields, fields;
  assign unpadded = {load.top, load.bottom, load.left, load.right} == '0;

  always_comb begin
    unique case (load.memory)
      MemoryActivation: load_fields = 1'b1;
      MemoryImage: load_fields = load.blocks == 16'd1;
      MemoryWeight: load_fields = unpadded && modulo(weight_beats_q) == '0;
      default: load_fields = unpadded && parameter_beats_q == '0;
    endcase
    if (load.fill[0] && load.memory != MemoryActivation) load_fields = 1'b0;
  end

  assign window_fields = compute.window <= 4'd1 ||
      (compute.per_channel[0] && compute.k_cols == 8'd1 && compute.k_blocks == 16'd1 &&
       compute.k_rows <= 8'(WindowRows) && !compute.maximum[0] && !compute.accumulate[0] &&
       !compute.partial[0] && (compute.cols == 16'd1 || compute.col_step != '0));
  assign compute_fields = signed'(compute.low_value) <= signed'(compute.high_value) &&
      !(compute.partial[0] && (compute.residual[0] || compute.to_activation[0])) &&
      window_fields && steps_q <= 32'hffff && pixels_q <= 32'hffff;

  logic known, tokens, aligned;
  always_comb begin
    known = 1'b1;
    unique case (load.opcode)
      OpcodeLoad: fields = load_in_range(load) && load_fields;
      OpcodeCompute: fields = compute_in_range(compute) && compute_fields;
      OpcodeStore: fields = store_in_range(store);
      default: begin
        fields = 1'b0;
        known = 1'b0;
      end
    endcase
  end

  assign tokens = core_pkg::reached(dispatched_i, load.wait_load, load.wait_compute,
                                    load.wait_store);
  assign aligned = load.opcode == OpcodeCompute || (load.opcode == OpcodeLoad && load.fill[0]) ||
                   load.offset[OffsetWidth-1:0] == '0;

  always_comb begin
    error_o = ErrorNone;
    if (!known) error_o = ErrorOpcode;
    else if (!fields) error_o = ErrorField;
    else if (!tokens) error_o = ErrorToken;
    else if (!aligned) error_o = ErrorAlignment;
  end

endmodule
