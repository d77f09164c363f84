// SPDX-License-Identifier: Apache-2.0
// Leads finished sums through the requantizers and writes words of codes.
//
// A group's sums are copied when they are complete and pass as (channel block, slot, chunk of
// Requantizers lanes), a chunk a cycle. A partial group takes one cycle here and writes nothing, so
// that COMPUTEs complete in order. The sequencer paces groups; nothing here ever waits.

module drain #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned Requantizers = 8,
  parameter int unsigned ActivationWords = 8192,
  localparam int unsigned WordBits = 8 * Lanes
) (
  input  logic                                      clk_i,
  input  logic                                      rst_ni,
  input  logic                                      clear_i,

  input  logic                                      start_i,
  input  logic [NPe-1:0][Pixels-1:0][31:0]          sum_i,
  input  core_pkg::drain_t                          group_i,
  input  logic [Pixels-1:0]                         slot_valid_i,
  input  core_pkg::address_t [Pixels-1:0]           target_i,

  // residual words of a channel block, a word per slot
  input  logic [Pixels-1:0][Lanes-1:0][7:0]         addend_i,
  output logic                                      addend_pop_o,

  output logic                                      parameter_read_o,
  output logic [$clog2(accel_pkg::ParameterWords)-1:0] parameter_index_o,
  input  logic [Lanes-1:0][63:0]                    parameter_i,

  output logic                                      write_o,
  output logic                                      to_activation_o,
  output core_pkg::address_t                        write_address_o,
  output logic [WordBits-1:0]                       write_data_o,
  output logic                                      done_o,  // a COMPUTE is complete
  output core_pkg::fault_t                          fault_o
);

  import core_pkg::address_t;

  localparam int unsigned SubBlocks = NPe / Lanes;
  localparam int unsigned Chunks = Lanes / Requantizers;
  localparam int unsigned SlotWidth = $clog2(Pixels);
  localparam int unsigned Latency = 8;  // cycles from chunk to code
  localparam int unsigned ParameterIndexWidth = $clog2(accel_pkg::ParameterWords);

  logic active_q;
  logic [NPe-1:0][Pixels-1:0][31:0] sum_q;
  core_pkg::drain_t group_q;
  logic [Pixels-1:0] slot_valid_q;
  address_t [Pixels-1:0] target_q;
  logic [15:0] block_q, chunk_q;
  logic [SlotWidth-1:0] slot_q;
  address_t block_offset_q;

  logic chunk_last, slot_last, block_last, group_last, writes;
  assign chunk_last = chunk_q == 16'(Chunks - 1);
  assign slot_last = slot_q == SlotWidth'(Pixels - 1);
  assign block_last = group_q.per_channel || block_q == 16'(SubBlocks - 1);
  assign group_last = group_q.partial || (chunk_last && slot_last && block_last);
  assign writes = slot_valid_q[slot_q] && block_q < group_q.blocks_left && !group_q.partial;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) active_q <= 1'b0;
    else if (clear_i) active_q <= 1'b0;
    else active_q <= start_i || (active_q && !group_last);
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      group_q <= group_i;
      slot_valid_q <= slot_valid_i;
      target_q <= target_i;
      if (!group_i.partial) sum_q <= sum_i;
      block_q <= '0;
      slot_q <= '0;
      chunk_q <= '0;
      block_offset_q <= '0;
    end else if (active_q) begin
      chunk_q <= chunk_last ? '0 : chunk_q + 16'd1;
      if (chunk_last) slot_q <= slot_last ? '0 : slot_q + 1'b1;
      if (chunk_last && slot_last) begin
        block_q <= block_q + 16'd1;
        block_offset_q <= block_offset_q + address_t'(group_q.target_block_pitch);
      end
    end
  end

  address_t parameter_word;
  assign parameter_word = group_q.parameter_word + address_t'(block_q);
  assign parameter_read_o = active_q && !group_q.partial;
  assign parameter_index_o = ParameterIndexWidth'(parameter_word);
  assign addend_pop_o = active_q && group_q.residual && chunk_last && slot_last;

  // stage 1: the chunk's sums and addends; its parameters arrive
  typedef struct packed {
    logic write;
    logic done;
    logic to_activation;
    address_t address;
    core_pkg::index_t index;
  } passing_t;

  logic chunk_valid_q;
  logic [Requantizers-1:0][31:0] chunk_sum_q;
  logic [Requantizers-1:0][7:0] chunk_addend_q;
  logic [15:0] chunk_index_q;
  logic [7:0] addend_zero_q;
  logic parameter_outside_q;
  core_pkg::finish_t finish_q;
  logic [Latency:1] passing_valid_q;
  passing_t passing_q[Latency+1];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      chunk_valid_q <= 1'b0;
      passing_valid_q <= '0;
    end else begin
      chunk_valid_q <= active_q && !group_q.partial && !clear_i;
      passing_valid_q <= clear_i ? '0 : {passing_valid_q[Latency-1:1], active_q};
    end
  end

  always_ff @(posedge clk_i) begin
    if (active_q) begin
      for (int unsigned r = 0; r < Requantizers; r++) begin
        for (int unsigned s = 0; s < SubBlocks; s++) begin
          for (int unsigned k = 0; k < Chunks; k++) begin
            if (block_q == 16'(s) && chunk_q == 16'(k)) begin
              chunk_sum_q[r] <= sum_q[s*Lanes+k*Requantizers+r][slot_q];
            end
          end
        end
        for (int unsigned k = 0; k < Chunks; k++) begin
          if (chunk_q == 16'(k)) chunk_addend_q[r] <= addend_i[slot_q][k*Requantizers+r];
        end
      end
      chunk_index_q <= chunk_q;
      addend_zero_q <= group_q.addend_zero;
      finish_q <= '{residual: group_q.residual, addend_multiplier: group_q.addend_multiplier,
                    addend_shift: group_q.addend_shift, output_zero: group_q.output_zero,
                    low: group_q.low, high: group_q.high};
      passing_q[1] <= '{write: writes && chunk_last, done: group_last && group_q.last,
                        to_activation: group_q.to_activation,
                        address: target_q[slot_q] + block_offset_q, index: group_q.index};
      parameter_outside_q <= writes && parameter_word >= address_t'(accel_pkg::ParameterWords);
    end
    for (int unsigned i = 2; i <= Latency; i++) begin
      if (passing_valid_q[i-1]) passing_q[i] <= passing_q[i-1];
    end
  end

  logic [Requantizers-1:0][7:0] code;
  for (genvar r = 0; r < Requantizers; r++) begin : gen_lane
    logic [63:0] parameters;
    always_comb begin
      parameters = parameter_i[r];
      for (int unsigned k = 1; k < Chunks; k++) begin
        if (chunk_index_q == 16'(k)) parameters = parameter_i[k*Requantizers+r];
      end
    end
    requantizer u_requantizer (
      .clk_i       (clk_i),
      .valid_i     (chunk_valid_q),
      .sum_i       (chunk_sum_q[r]),
      .bias_i      (parameters[31:0]),
      .multiplier_i(parameters[47:32]),
      .shift_i     (parameters[53:48]),
      .addend_i    (9'(signed'(chunk_addend_q[r])) - 9'(signed'(addend_zero_q))),
      .finish_i    (finish_q),
      .code_o      (code[r])
    );
    logic unused_parameters;
    assign unused_parameters = ^parameters[63:54];
  end

  // chunks become a word: the last one arrives, the others waited
  logic [WordBits-1:0] word;
  if (Chunks == 1) begin : gen_whole
    assign word = code;
  end else begin : gen_chunks
    logic [WordBits-Requantizers*8-1:0] word_q;
    assign word = {code, word_q};
    always_ff @(posedge clk_i) begin
      if (passing_valid_q[Latency]) word_q <= word[WordBits-1:Requantizers*8];
    end
  end

  passing_t ending;
  logic target_outside, write_q, done_q, fault_q;
  core_pkg::index_t fault_index_q;
  assign ending = passing_q[Latency];
  assign target_outside = ending.write && ending.address >=
      (ending.to_activation ? address_t'(ActivationWords) : address_t'(accel_pkg::OutputWords));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= 1'b0;
      done_q <= 1'b0;
      fault_q <= 1'b0;
    end else begin
      write_q <= passing_valid_q[Latency] && ending.write && !target_outside && !clear_i;
      done_q <= passing_valid_q[Latency] && ending.done && !clear_i;
      fault_q <= passing_valid_q[Latency] && target_outside && !clear_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (passing_valid_q[Latency]) begin
      to_activation_o <= ending.to_activation;
      write_address_o <= ending.address;
      write_data_o <= word;
      fault_index_q <= ending.index;
    end
  end

  assign write_o = write_q;
  assign done_o = done_q;

  always_comb begin
    fault_o = '{valid: fault_q, code: accel_pkg::ErrorBuffer, index: fault_index_q};
    if (!fault_q && chunk_valid_q && parameter_outside_q) begin
      fault_o.valid = 1'b1;
      fault_o.index = passing_q[1].index;
    end
  end

endmodule
