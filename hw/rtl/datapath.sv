// SPDX-License-Identifier: Apache-2.0
// Load, compute and store with the buffers between them.

module datapath #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned Requantizers = 8,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  parameter int unsigned AccumulatorWords = 512,
  localparam int unsigned DataBits = 8 * Lanes
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     clear_i,
  input  core_pkg::tokens_t        tokens_i,
  input  logic [31:0]              window_bytes_i,

  input  logic                     load_command_valid_i,
  output logic                     load_command_ready_o,
  input  core_pkg::load_entry_t    load_command_i,
  input  logic                     compute_command_valid_i,
  output logic                     compute_command_ready_o,
  input  core_pkg::compute_entry_t compute_command_i,
  input  logic                     store_command_valid_i,
  output logic                     store_command_ready_o,
  input  core_pkg::store_entry_t   store_command_i,

  output logic                     load_valid_o,
  input  logic                     load_ready_i,
  output core_pkg::burst_t         load_burst_o,
  input  logic                     load_beat_i,
  output logic                     load_beat_ready_o,
  input  logic [DataBits-1:0]      beat_i,
  output logic                     store_valid_o,
  input  logic                     store_ready_i,
  output core_pkg::burst_t         store_burst_o,
  output logic                     store_data_valid_o,
  input  logic                     store_data_ready_i,
  output logic [DataBits-1:0]      store_data_o,

  output logic                     load_done_o,
  output logic                     compute_done_o,
  input  logic                     store_done_i,  // its responses come to the bus
  output core_pkg::fault_t         load_fault_o,
  output core_pkg::fault_t         compute_fault_o,
  output core_pkg::fault_t         store_fault_o,
  output core_pkg::index_t         load_oldest_o,
  output core_pkg::index_t         compute_oldest_o,
  output logic                     progress_o,
  output core_pkg::activity_t      activity_o
);

  import core_pkg::*;

  localparam int unsigned BankWidth = $clog2(NPe) > 3 ? $clog2(NPe) : 3;

  logic activation_write, activation_ready, weight_write, parameter_write;
  address_t load_address;
  logic [BankWidth-1:0] load_bank;
  logic [DataBits-1:0] load_data;
  logic compute_progress;

  load_unit #(
    .NPe            (NPe),
    .Lanes          (Lanes),
    .ActivationWords(ActivationWords),
    .WeightWords    (WeightWords)
  ) u_load (
    .clk_i             (clk_i),
    .rst_ni            (rst_ni),
    .clear_i           (clear_i),
    .command_valid_i   (load_command_valid_i),
    .command_ready_o   (load_command_ready_o),
    .command_i         (load_command_i),
    .tokens_i          (tokens_i),
    .window_bytes_i    (window_bytes_i),
    .burst_valid_o     (load_valid_o),
    .burst_ready_i     (load_ready_i),
    .burst_o           (load_burst_o),
    .beat_valid_i      (load_beat_i),
    .beat_ready_o      (load_beat_ready_o),
    .beat_i            (beat_i),
    .activation_write_o(activation_write),
    .activation_ready_i(activation_ready),
    .weight_write_o    (weight_write),
    .parameter_write_o (parameter_write),
    .address_o         (load_address),
    .bank_o            (load_bank),
    .data_o            (load_data),
    .done_o            (load_done_o),
    .fault_o           (load_fault_o),
    .oldest_o          (load_oldest_o),
    .busy_o            (activity_o.load_busy),
    .wait_o            (activity_o.load_wait)
  );

  logic activation_read, weight_read, parameter_read, compute_write, compute_to_activation;
  address_t [Pixels-1:0] activation_index;
  logic [Pixels-1:0][Lanes-1:0][7:0] activation;
  logic [$clog2(WeightWords)-1:0] weight_index;
  logic [NPe-1:0][Lanes-1:0][7:0] weight;
  logic [$clog2(accel_pkg::ParameterWords)-1:0] parameter_index;
  logic [Lanes-1:0][63:0] parameters;
  address_t compute_address;
  logic [DataBits-1:0] compute_data;

  compute_unit #(
    .NPe             (NPe),
    .Pixels          (Pixels),
    .Lanes           (Lanes),
    .Requantizers    (Requantizers),
    .ActivationWords (ActivationWords),
    .WeightWords     (WeightWords),
    .AccumulatorWords(AccumulatorWords)
  ) u_compute (
    .clk_i             (clk_i),
    .rst_ni            (rst_ni),
    .clear_i           (clear_i),
    .command_valid_i   (compute_command_valid_i),
    .command_ready_o   (compute_command_ready_o),
    .command_i         (compute_command_i),
    .tokens_i          (tokens_i),
    .activation_read_o (activation_read),
    .activation_index_o(activation_index),
    .activation_i      (activation),
    .weight_read_o     (weight_read),
    .weight_index_o    (weight_index),
    .weight_i          (weight),
    .parameter_read_o  (parameter_read),
    .parameter_index_o (parameter_index),
    .parameter_i       (parameters),
    .write_o           (compute_write),
    .to_activation_o   (compute_to_activation),
    .write_address_o   (compute_address),
    .write_data_o      (compute_data),
    .done_o            (compute_done_o),
    .fault_o           (compute_fault_o),
    .oldest_o          (compute_oldest_o),
    .progress_o        (compute_progress),
    .busy_o            (activity_o.compute_busy),
    .step_o            (activity_o.array_step),
    .wait_load_o       (activity_o.compute_wait_load),
    .wait_store_o      (activity_o.compute_wait_store)
  );

  logic output_read;
  logic [$clog2(accel_pkg::OutputWords)-1:0] output_index;
  logic [DataBits-1:0] output_word;

  store_unit #(
    .Lanes(Lanes)
  ) u_store (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .clear_i        (clear_i),
    .command_valid_i(store_command_valid_i),
    .command_ready_o(store_command_ready_o),
    .command_i      (store_command_i),
    .tokens_i       (tokens_i),
    .window_bytes_i (window_bytes_i),
    .burst_valid_o  (store_valid_o),
    .burst_ready_i  (store_ready_i),
    .burst_o        (store_burst_o),
    .data_valid_o   (store_data_valid_o),
    .data_ready_i   (store_data_ready_i),
    .data_o         (store_data_o),
    .read_o         (output_read),
    .read_index_o   (output_index),
    .read_data_i    (output_word),
    .done_i         (store_done_i),
    .fault_o        (store_fault_o),
    .busy_o         (activity_o.store_busy),
    .wait_o         (activity_o.store_wait)
  );

  memories #(
    .NPe            (NPe),
    .Pixels         (Pixels),
    .Lanes          (Lanes),
    .ActivationWords(ActivationWords),
    .WeightWords    (WeightWords)
  ) u_memories (
    .clk_i                  (clk_i),
    .activation_write_i     (activation_write),
    .activation_ready_o     (activation_ready),
    .weight_write_i         (weight_write),
    .parameter_write_i      (parameter_write),
    .load_address_i         (load_address),
    .load_bank_i            (load_bank),
    .load_data_i            (load_data),
    .activation_read_i      (activation_read),
    .activation_address_i   (activation_index),
    .activation_o           (activation),
    .weight_read_i          (weight_read),
    .weight_index_i         (weight_index),
    .weight_o               (weight),
    .parameter_read_i       (parameter_read),
    .parameter_index_i      (parameter_index),
    .parameter_o            (parameters),
    .compute_write_i        (compute_write),
    .compute_to_activation_i(compute_to_activation),
    .compute_address_i      (compute_address),
    .compute_data_i         (compute_data),
    .output_read_i          (output_read),
    .output_index_i         (output_index),
    .output_o               (output_word)
  );

  assign progress_o = compute_progress || activation_write || weight_write || parameter_write;

endmodule
