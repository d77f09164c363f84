// SPDX-License-Identifier: Apache-2.0
// COMPUTE: from command to codes. Group walker, sequencer, window buffers, array, drain.
//
// stage 1 addresses, 2 words read, 3 window words, 4 packed operands and weights, 5 products,
// 6 sums of four, 7 terms, 8 sums; then the drain.

module compute_unit #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned Requantizers = 8,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  parameter int unsigned AccumulatorWords = 512
) (
  input  logic                                         clk_i,
  input  logic                                         rst_ni,
  input  logic                                         clear_i,

  input  logic                                         command_valid_i,
  output logic                                         command_ready_o,
  input  core_pkg::compute_entry_t                     command_i,
  input  core_pkg::tokens_t                            tokens_i,

  output logic                                         activation_read_o,
  output core_pkg::address_t [Pixels-1:0]              activation_index_o,
  input  logic [Pixels-1:0][Lanes-1:0][7:0]            activation_i,
  output logic                                         weight_read_o,
  output logic [$clog2(WeightWords)-1:0]               weight_index_o,
  input  logic [NPe-1:0][Lanes-1:0][7:0]               weight_i,
  output logic                                         parameter_read_o,
  output logic [$clog2(accel_pkg::ParameterWords)-1:0] parameter_index_o,
  input  logic [Lanes-1:0][63:0]                       parameter_i,

  output logic                                         write_o,
  output logic                                         to_activation_o,
  output core_pkg::address_t                           write_address_o,
  output logic [8*Lanes-1:0]                           write_data_o,

  output logic                                         done_o,
  output core_pkg::fault_t                             fault_o,
  output core_pkg::index_t                             oldest_o,  // command, while busy
  output logic                                         progress_o,
  output logic                                         busy_o,
  output logic                                         step_o,
  output logic                                         wait_load_o,
  output logic                                         wait_store_o
);

  import core_pkg::address_t;

  localparam int unsigned Taps = accel_pkg::WindowTaps;
  localparam int unsigned DrainBits = $bits(core_pkg::drain_t) + Pixels * ($bits(address_t) + 1);

  // command: wait for tokens, then walk
  logic start, walker_idle, entry_ready, entry_done, entry_valid, tokens_reached;
  core_pkg::compute_entry_t entry;
  accel_pkg::compute_command_t next;
  assign next = command_i.command;
  assign tokens_reached = core_pkg::reached(tokens_i, next.wait_load, next.wait_compute,
                                            next.wait_store);
  assign start = command_valid_i && tokens_reached && walker_idle && entry_ready && !clear_i;
  assign command_ready_o = start;
  assign wait_load_o = command_valid_i && walker_idle &&
                       tokens_i.loads < 32'(next.wait_load);
  assign wait_store_o = command_valid_i && walker_idle &&
                        tokens_i.stores < 32'(next.wait_store);

  logic [1:0] unused_entry_count;
  fifo #(
    .Width($bits(core_pkg::compute_entry_t)),
    .Depth(2)
  ) u_entries (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(start),
    .ready_o(entry_ready),
    .data_i (command_i),
    .valid_o(entry_valid),
    .ready_i(entry_done),
    .data_o (entry),
    .count_o(unused_entry_count)
  );

  logic group_valid, group_ready;
  core_pkg::group_t group;
  logic [Pixels-1:0] slot_valid;
  address_t [Pixels-1:0] source, target, addend;

  group_walker #(
    .NPe   (NPe),
    .Pixels(Pixels),
    .Lanes (Lanes)
  ) u_walker (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .clear_i     (clear_i),
    .start_i     (start),
    .command_i   (next),
    .idle_o      (walker_idle),
    .valid_o     (group_valid),
    .ready_i     (group_ready),
    .group_o     (group),
    .slot_valid_o(slot_valid),
    .source_o    (source),
    .target_o    (target),
    .addend_o    (addend)
  );

  logic step_valid, drain_push, drain_ready;
  core_pkg::step_t step;
  core_pkg::fault_t step_fault;
  logic [$clog2(WeightWords)-1:0] step_weight;

  sequencer #(
    .NPe             (NPe),
    .Pixels          (Pixels),
    .Lanes           (Lanes),
    .Requantizers    (Requantizers),
    .ActivationWords (ActivationWords),
    .WeightWords     (WeightWords),
    .AccumulatorWords(AccumulatorWords)
  ) u_sequencer (
    .clk_i        (clk_i),
    .rst_ni       (rst_ni),
    .clear_i      (clear_i),
    .entry_i      (entry),
    .entry_done_o (entry_done),
    .group_valid_i(group_valid && entry_valid),
    .group_ready_o(group_ready),
    .group_i      (group),
    .slot_valid_i (slot_valid),
    .source_i     (source),
    .addend_i     (addend),
    .drain_push_o (drain_push),
    .drain_ready_i(drain_ready),
    .step_valid_o (step_valid),
    .step_o       (step),
    .read_o       (activation_index_o),
    .weight_o     (step_weight),
    .fault_o      (step_fault)
  );
  assign activation_read_o = step_valid;

  // stages 2 and 3
  logic [3:2] valid_q;
  core_pkg::step_t step_q[2:3];
  logic [$clog2(WeightWords)-1:0] weight_q[2:3];
  logic [Pixels-1:0][Taps-1:0][Lanes-1:0][7:0] window_word;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= clear_i ? '0 : {valid_q[2], step_valid};
  end
  always_ff @(posedge clk_i) begin
    if (step_valid) begin
      step_q[2] <= step;
      weight_q[2] <= step_weight;
    end
    if (valid_q[2]) begin
      step_q[3] <= step_q[2];
      weight_q[3] <= weight_q[2];
    end
  end
  assign weight_read_o = valid_q[3] && step_q[3].fire;
  assign weight_index_o = weight_q[3];

  for (genvar j = 0; j < Pixels; j++) begin : gen_slot
    window_buffer #(
      .WordBits(8 * Lanes)
    ) u_window (
      .clk_i   (clk_i),
      .valid_i (valid_q[2] && !step_q[2].addend),
      .shift_i (step_q[2].shift),
      .row_i   (step_q[2].row),
      .window_i(step_q[2].window),
      .word_i  (activation_i[j]),
      .word_o  (window_word[j])
    );
  end

  logic sum_valid;
  logic [NPe-1:0][Pixels-1:0][31:0] sum;
  array #(
    .NPe             (NPe),
    .Pixels          (Pixels),
    .Lanes           (Lanes),
    .AccumulatorWords(AccumulatorWords)
  ) u_array (
    .clk_i   (clk_i),
    .rst_ni  (rst_ni),
    .clear_i (clear_i),
    .valid_i (valid_q[3]),
    .step_i  (step_q[3]),
    .word_i  (window_word),
    .weight_i(weight_i),
    .valid_o (sum_valid),
    .sum_o   (sum)
  );

  // residual words wait for their sums
  logic addend_pop;
  logic [Pixels-1:0][Lanes-1:0][7:0] addend_word;
  logic unused_addend_ready, unused_addend_valid;
  logic [4:0] unused_addend_count;
  fifo #(
    .Width(8 * Lanes * Pixels),
    .Depth(16)
  ) u_addends (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(valid_q[2] && step_q[2].addend),
    .ready_o(unused_addend_ready),
    .data_i (activation_i),
    .valid_o(unused_addend_valid),
    .ready_i(addend_pop),
    .data_o (addend_word),
    .count_o(unused_addend_count)
  );

  // groups between sequencer and drain
  core_pkg::drain_t pushed, drained;
  logic [Pixels-1:0] drained_valid;
  address_t [Pixels-1:0] drained_target;
  accel_pkg::compute_command_t c;
  logic [4:0] unused_drain_count;
  logic unused_drain_valid;
  assign c = entry.command;
  assign pushed = '{
      index: entry.index, last: group.last, partial: c.partial[0], per_channel: c.per_channel[0],
      residual: c.residual[0], to_activation: c.to_activation[0], blocks_left: group.blocks_left,
      target_block_pitch: c.target_block_pitch, parameter_word: group.parameter_word,
      addend_zero: c.addend_zero, addend_multiplier: c.addend_multiplier,
      addend_shift: c.addend_shift, output_zero: c.output_zero,
      low: c.low_value, high: c.high_value};

  fifo #(
    .Width(DrainBits),
    .Depth(16)
  ) u_groups (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(drain_push),
    .ready_o(drain_ready),
    .data_i ({pushed, slot_valid, target}),
    .valid_o(unused_drain_valid),
    .ready_i(sum_valid),
    .data_o ({drained, drained_valid, drained_target}),
    .count_o(unused_drain_count)
  );

  core_pkg::fault_t drain_fault;
  drain #(
    .NPe            (NPe),
    .Pixels         (Pixels),
    .Lanes          (Lanes),
    .Requantizers   (Requantizers),
    .ActivationWords(ActivationWords)
  ) u_drain (
    .clk_i            (clk_i),
    .rst_ni           (rst_ni),
    .clear_i          (clear_i),
    .start_i          (sum_valid),
    .sum_i            (sum),
    .group_i          (drained),
    .slot_valid_i     (drained_valid),
    .target_i         (drained_target),
    .addend_i         (addend_word),
    .addend_pop_o     (addend_pop),
    .parameter_read_o (parameter_read_o),
    .parameter_index_o(parameter_index_o),
    .parameter_i      (parameter_i),
    .write_o          (write_o),
    .to_activation_o  (to_activation_o),
    .write_address_o  (write_address_o),
    .write_data_o     (write_data_o),
    .done_o           (done_o),
    .fault_o          (drain_fault)
  );
  assign fault_o = drain_fault.valid ? drain_fault : step_fault;

  // commands begun and not complete
  logic [4:0] open_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) open_q <= '0;
    else if (clear_i) open_q <= '0;
    else open_q <= open_q + 5'(start) - 5'(done_o);
  end
  assign busy_o = open_q != '0;
  assign oldest_o = entry_valid ? entry.index : drained.index;
  assign step_o = step_valid && step.fire;
  assign progress_o = step_valid || write_o;

  logic unused_command;
  assign unused_command = ^c;

endmodule
