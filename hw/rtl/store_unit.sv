// SPDX-License-Identifier: Apache-2.0
// STORE: issues bursts and reads the output buffer in the same order. Completion is the writer's.

module store_unit #(
  parameter int unsigned Lanes = 16,
  localparam int unsigned WordBits = 8 * Lanes,
  localparam int unsigned IndexWidth = $clog2(accel_pkg::OutputWords)
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      clear_i,

  input  logic                      command_valid_i,
  output logic                      command_ready_o,
  input  core_pkg::store_entry_t    command_i,
  input  core_pkg::tokens_t         tokens_i,
  input  logic [31:0]               window_bytes_i,

  output logic                      burst_valid_o,
  input  logic                      burst_ready_i,
  output core_pkg::burst_t          burst_o,
  output logic                      data_valid_o,
  input  logic                      data_ready_i,
  output logic [WordBits-1:0]       data_o,

  output logic                      read_o,
  output logic [IndexWidth-1:0]     read_index_o,
  input  logic [WordBits-1:0]       read_data_i,

  input  logic                      done_i,  // a STORE is complete
  output core_pkg::fault_t          fault_o,
  output logic                      busy_o,
  output logic                      wait_o
);

  import core_pkg::address_t;

  localparam int unsigned DataDepth = 8;
  localparam int unsigned CountWidth = $clog2(DataDepth) + 1;

  logic start, tokens_reached, walker_idle, reader_idle;
  accel_pkg::store_command_t next;
  core_pkg::fault_t walker_fault;

  assign next = command_i.command;
  assign tokens_reached = core_pkg::reached(tokens_i, next.wait_load, next.wait_compute,
                                            next.wait_store);
  assign start = command_valid_i && tokens_reached && walker_idle && reader_idle && !clear_i;
  assign command_ready_o = start;
  assign wait_o = command_valid_i && walker_idle && reader_idle && !tokens_reached;

  dram_walker #(
    .BeatBytes(Lanes)
  ) u_walker (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .clear_i       (clear_i),
    .window_bytes_i(window_bytes_i),
    .start_i       (start),
    .idle_o        (walker_idle),
    .index_i       (command_i.index),
    .offset_i      (next.offset),
    .beats_i       (next.cols),
    .rows_i        (next.rows),
    .blocks_i      (next.blocks),
    .row_pitch_i   (next.row_pitch),
    .block_pitch_i (next.block_pitch),
    .valid_o       (burst_valid_o),
    .ready_i       (burst_ready_i),
    .burst_o       (burst_o),
    .fault_o       (walker_fault)
  );

  // words of the region, read while the data queue has room for them
  logic reading_q, read_valid_q, advance, last, outside, unused_row_end, unused_data_ready;
  logic [16:0] unused_x, unused_y;
  logic fault_q;
  core_pkg::index_t index_q;
  logic [CountWidth-1:0] count;
  address_t address;

  rect_walker u_reader (
    .clk_i        (clk_i),
    .start_i      (start),
    .base_i       (address_t'(next.buffer)),
    .cols_i       (17'(next.cols)),
    .rows_i       (17'(next.rows)),
    .blocks_i     (next.blocks),
    .row_pitch_i  (next.buffer_row_pitch),
    .block_pitch_i(next.buffer_block_pitch),
    .advance_i    (advance),
    .address_o    (address),
    .x_o          (unused_x),
    .y_o          (unused_y),
    .row_end_o    (unused_row_end),
    .last_o       (last)
  );

  assign outside = address >= address_t'(accel_pkg::OutputWords);
  assign advance = reading_q && !outside && count < CountWidth'(DataDepth - 1);
  assign reader_idle = !reading_q || (advance && last);
  assign read_o = advance;
  assign read_index_o = IndexWidth'(address);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      reading_q <= 1'b0;
      read_valid_q <= 1'b0;
      fault_q <= 1'b0;
    end else if (clear_i) begin
      reading_q <= 1'b0;
      read_valid_q <= 1'b0;
      fault_q <= 1'b0;
    end else begin
      if (start) reading_q <= 1'b1;
      else if (advance && last) reading_q <= 1'b0;
      read_valid_q <= advance;
      if (reading_q && outside) fault_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (start) index_q <= command_i.index;
  end

  fifo #(
    .Width(WordBits),
    .Depth(DataDepth)
  ) u_data (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(read_valid_q),
    .ready_o(unused_data_ready),
    .data_i (read_data_i),
    .valid_o(data_valid_o),
    .ready_i(data_ready_i),
    .data_o (data_o),
    .count_o(count)
  );

  // commands begun and not complete
  logic [4:0] open_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) open_q <= '0;
    else if (clear_i) open_q <= '0;
    else open_q <= open_q + 5'(start) - 5'(done_i);
  end
  assign busy_o = open_q != '0;

  always_comb begin
    fault_o = walker_fault;
    if (fault_q) begin
      fault_o = '{valid: 1'b1, code: accel_pkg::ErrorBuffer, index: index_q};
    end
  end

  logic unused_command;
  assign unused_command = ^next;

endmodule
