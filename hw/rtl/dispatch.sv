// SPDX-License-Identifier: Apache-2.0
// Checks commands in order and puts each into the queue of its unit.

module dispatch #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Lanes = 16
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      clear_i,

  input  logic                      start_i,
  input  logic [31:0]               count_i,
  output logic                      push_o,
  output logic                      finished_o,  // every command of the job is in a queue
  output core_pkg::fault_t          fault_o,

  input  logic                      command_valid_i,
  output logic                      command_ready_o,
  input  logic [511:0]              command_i,

  output logic                      load_valid_o,
  input  logic                      load_ready_i,
  output core_pkg::load_entry_t     load_o,
  output logic                      compute_valid_o,
  input  logic                      compute_ready_i,
  output core_pkg::compute_entry_t  compute_o,
  output logic                      store_valid_o,
  input  logic                      store_ready_i,
  output core_pkg::store_entry_t    store_o
);

  import accel_pkg::*;

  localparam int unsigned Depth = 8;

  // the checks take three cycles
  logic [1:0] stage_q;
  logic faulty_q, ready;
  core_pkg::index_t index_q;
  core_pkg::tokens_t dispatched_q;
  error_e error;
  logic [3:0] opcode;
  assign opcode = command_i[3:0];

  command_check #(
    .NPe  (NPe),
    .Lanes(Lanes)
  ) u_check (
    .clk_i       (clk_i),
    .command_i   (command_i),
    .dispatched_i(dispatched_q),
    .error_o     (error)
  );

  logic checked, load_room, compute_room, store_room;
  assign checked = command_valid_i && stage_q == 2'd2 && !faulty_q;
  always_comb begin
    unique case (opcode)
      OpcodeLoad: ready = load_room;
      OpcodeCompute: ready = compute_room;
      default: ready = store_room;
    endcase
  end
  assign push_o = checked && error == ErrorNone && ready && !clear_i;
  assign command_ready_o = push_o;
  assign finished_o = index_q == count_i;
  assign fault_o = '{valid: checked && error != ErrorNone, code: error, index: index_q};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      stage_q <= '0;
      faulty_q <= 1'b0;
      index_q <= '0;
      dispatched_q <= '0;
    end else if (clear_i || start_i) begin
      stage_q <= '0;
      faulty_q <= 1'b0;
      index_q <= '0;
      dispatched_q <= '0;
    end else begin
      if (push_o) stage_q <= '0;
      else if (command_valid_i && stage_q != 2'd2) stage_q <= stage_q + 2'd1;
      if (fault_o.valid) faulty_q <= 1'b1;
      if (push_o) begin
        index_q <= index_q + 32'd1;
        unique case (opcode)
          OpcodeLoad: dispatched_q.loads <= dispatched_q.loads + 32'd1;
          OpcodeCompute: dispatched_q.computes <= dispatched_q.computes + 32'd1;
          default: dispatched_q.stores <= dispatched_q.stores + 32'd1;
        endcase
      end
    end
  end

  logic [$clog2(Depth):0] unused_load_count, unused_compute_count, unused_store_count;
  fifo #(
    .Width($bits(core_pkg::load_entry_t)),
    .Depth(Depth)
  ) u_loads (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(push_o && opcode == OpcodeLoad),
    .ready_o(load_room),
    .data_i ({index_q, command_i}),
    .valid_o(load_valid_o),
    .ready_i(load_ready_i),
    .data_o (load_o),
    .count_o(unused_load_count)
  );

  fifo #(
    .Width($bits(core_pkg::compute_entry_t)),
    .Depth(Depth)
  ) u_computes (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(push_o && opcode == OpcodeCompute),
    .ready_o(compute_room),
    .data_i ({index_q, command_i}),
    .valid_o(compute_valid_o),
    .ready_i(compute_ready_i),
    .data_o (compute_o),
    .count_o(unused_compute_count)
  );

  fifo #(
    .Width($bits(core_pkg::store_entry_t)),
    .Depth(Depth)
  ) u_stores (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(push_o && opcode == OpcodeStore),
    .ready_o(store_room),
    .data_i ({index_q, command_i}),
    .valid_o(store_valid_o),
    .ready_i(store_ready_i),
    .data_o (store_o),
    .count_o(unused_store_count)
  );

endmodule
