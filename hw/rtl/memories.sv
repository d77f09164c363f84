// SPDX-License-Identifier: Apache-2.0
// The buffers between the units. At the activation buffer the compute output goes first.

module memories #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  localparam int unsigned WordBits = 8 * Lanes,
  localparam int unsigned BankWidth = $clog2(NPe) > 3 ? $clog2(NPe) : 3,
  localparam int unsigned WeightIndexWidth = $clog2(WeightWords),
  localparam int unsigned ParameterIndexWidth = $clog2(accel_pkg::ParameterWords),
  localparam int unsigned OutputIndexWidth = $clog2(accel_pkg::OutputWords)
) (
  input  logic                               clk_i,

  // load
  input  logic                               activation_write_i,
  output logic                               activation_ready_o,
  input  logic                               weight_write_i,
  input  logic                               parameter_write_i,
  input  core_pkg::address_t                 load_address_i,
  input  logic [BankWidth-1:0]               load_bank_i,
  input  logic [WordBits-1:0]                load_data_i,

  // compute
  input  logic                               activation_read_i,
  input  core_pkg::address_t [Pixels-1:0]    activation_address_i,
  output logic [Pixels-1:0][WordBits-1:0]    activation_o,
  input  logic                               weight_read_i,
  input  logic [WeightIndexWidth-1:0]        weight_index_i,
  output logic [NPe-1:0][WordBits-1:0]       weight_o,
  input  logic                               parameter_read_i,
  input  logic [ParameterIndexWidth-1:0]     parameter_index_i,
  output logic [Lanes-1:0][63:0]             parameter_o,
  input  logic                               compute_write_i,
  input  logic                               compute_to_activation_i,
  input  core_pkg::address_t                 compute_address_i,
  input  logic [WordBits-1:0]                compute_data_i,

  // store
  input  logic                               output_read_i,
  input  logic [OutputIndexWidth-1:0]        output_index_i,
  output logic [WordBits-1:0]                output_o
);

  localparam int unsigned ActivationIndexWidth = $clog2(ActivationWords);

  logic compute_activation;
  core_pkg::address_t activation_address;
  assign compute_activation = compute_write_i && compute_to_activation_i;
  assign activation_ready_o = !compute_activation;
  assign activation_address = compute_activation ? compute_address_i : load_address_i;

  activation_buffer #(
    .Pixels  (Pixels),
    .WordBits(WordBits),
    .Words   (ActivationWords)
  ) u_activations (
    .clk_i         (clk_i),
    .write_i       (compute_activation || activation_write_i),
    .write_index_i (ActivationIndexWidth'(activation_address)),
    .write_data_i  (compute_activation ? compute_data_i : load_data_i),
    .read_i        (activation_read_i),
    .read_address_i(activation_address_i),
    .read_data_o   (activation_o)
  );

  banked_buffer #(
    .Banks   (NPe),
    .BankBits(WordBits),
    .Words   (WeightWords)
  ) u_weights (
    .clk_i        (clk_i),
    .write_i      (weight_write_i),
    .write_index_i(WeightIndexWidth'(load_address_i)),
    .write_bank_i ($clog2(NPe)'(load_bank_i)),
    .write_data_i (load_data_i),
    .read_i       (weight_read_i),
    .read_index_i (weight_index_i),
    .read_data_o  (weight_o)
  );

  banked_buffer #(
    .Banks   (accel_pkg::ParameterBytes),
    .BankBits(WordBits),
    .Words   (accel_pkg::ParameterWords)
  ) u_parameters (
    .clk_i        (clk_i),
    .write_i      (parameter_write_i),
    .write_index_i(ParameterIndexWidth'(load_address_i)),
    .write_bank_i (load_bank_i[2:0]),
    .write_data_i (load_data_i),
    .read_i       (parameter_read_i),
    .read_index_i (parameter_index_i),
    .read_data_o  (parameter_o)
  );

  ram_sdp #(
    .Width(WordBits),
    .Depth(accel_pkg::OutputWords)
  ) u_outputs (
    .clk_i        (clk_i),
    .write_i      (compute_write_i && !compute_to_activation_i),
    .write_index_i(OutputIndexWidth'(compute_address_i)),
    .write_data_i (compute_data_i),
    .read_i       (output_read_i),
    .read_index_i (output_index_i),
    .read_data_o  (output_o)
  );

  logic unused_address;
  assign unused_address = ^activation_address;

endmodule
