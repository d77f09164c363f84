// SPDX-License-Identifier: Apache-2.0
// LOAD: issues bursts ahead, across commands, and writes the beats that come back.

module load_unit #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Lanes = 16,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  localparam int unsigned WordBits = 8 * Lanes,
  localparam int unsigned BankWidth = $clog2(NPe) > 3 ? $clog2(NPe) : 3
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      clear_i,

  input  logic                      command_valid_i,
  output logic                      command_ready_o,
  input  core_pkg::load_entry_t     command_i,
  input  core_pkg::tokens_t         tokens_i,
  input  logic [31:0]               window_bytes_i,

  output logic                      burst_valid_o,
  input  logic                      burst_ready_i,
  output core_pkg::burst_t          burst_o,
  input  logic                      beat_valid_i,
  output logic                      beat_ready_o,
  input  logic [WordBits-1:0]       beat_i,

  output logic                      activation_write_o,
  input  logic                      activation_ready_i,
  output logic                      weight_write_o,
  output logic                      parameter_write_o,
  output core_pkg::address_t        address_o,
  output logic [BankWidth-1:0]      bank_o,
  output logic [WordBits-1:0]       data_o,

  output logic                      done_o,
  output core_pkg::fault_t          fault_o,
  output core_pkg::index_t          oldest_o,
  output logic                      busy_o,
  output logic                      wait_o
);

  localparam int unsigned BeatDepth = 32;
  localparam int unsigned Ahead = 4;

  logic start, tokens_reached, walker_idle, writer_room, image;
  accel_pkg::load_command_t next;
  logic [15:0] beats;
  core_pkg::fault_t walker_fault, writer_fault;

  assign next = command_i.command;
  assign tokens_reached = core_pkg::reached(tokens_i, next.wait_load, next.wait_compute,
                                            next.wait_store);
  assign start = command_valid_i && tokens_reached && walker_idle && writer_room && !clear_i;
  assign command_ready_o = start;
  assign wait_o = command_valid_i && walker_idle && !tokens_reached;

  // an image row is cols pixels of 4 bytes
  localparam int unsigned WordPixels = Lanes / accel_pkg::ImageChannels;
  assign image = next.memory == accel_pkg::MemoryImage;
  assign beats = image ? 16'((17'(next.cols) + 17'(WordPixels - 1)) / 17'(WordPixels)) : next.cols;

  dram_walker #(
    .BeatBytes(Lanes)
  ) u_walker (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .clear_i       (clear_i),
    .window_bytes_i(window_bytes_i),
    .start_i       (start && !next.fill[0]),
    .idle_o        (walker_idle),
    .index_i       (command_i.index),
    .offset_i      (next.offset),
    .beats_i       (beats),
    .rows_i        (next.rows),
    .blocks_i      (next.blocks),
    .row_pitch_i   (next.row_pitch),
    .block_pitch_i (next.block_pitch),
    .valid_o       (burst_valid_o),
    .ready_i       (burst_ready_i),
    .burst_o       (burst_o),
    .fault_o       (walker_fault)
  );

  // commands whose bursts are under way
  logic begun_valid, begun_ready;
  core_pkg::load_entry_t begun;
  logic [$clog2(Ahead):0] unused_begun_count;
  fifo #(
    .Width($bits(core_pkg::load_entry_t)),
    .Depth(Ahead)
  ) u_begun (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(start),
    .ready_o(writer_room),
    .data_i (command_i),
    .valid_o(begun_valid),
    .ready_i(begun_ready),
    .data_o (begun),
    .count_o(unused_begun_count)
  );

  logic held_valid, held_ready;
  logic [WordBits-1:0] held;
  logic [$clog2(BeatDepth):0] unused_beat_count;
  fifo #(
    .Width(WordBits),
    .Depth(BeatDepth)
  ) u_beats (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(beat_valid_i),
    .ready_o(beat_ready_o),
    .data_i (beat_i),
    .valid_o(held_valid),
    .ready_i(held_ready),
    .data_o (held),
    .count_o(unused_beat_count)
  );

  logic writer_busy;
  load_writer #(
    .NPe            (NPe),
    .Lanes          (Lanes),
    .ActivationWords(ActivationWords),
    .WeightWords    (WeightWords)
  ) u_writer (
    .clk_i             (clk_i),
    .rst_ni            (rst_ni),
    .clear_i           (clear_i),
    .command_valid_i   (begun_valid),
    .command_ready_o   (begun_ready),
    .command_i         (begun),
    .beat_valid_i      (held_valid),
    .beat_ready_o      (held_ready),
    .beat_i            (held),
    .activation_write_o(activation_write_o),
    .activation_ready_i(activation_ready_i),
    .weight_write_o    (weight_write_o),
    .parameter_write_o (parameter_write_o),
    .address_o         (address_o),
    .bank_o            (bank_o),
    .data_o            (data_o),
    .done_o            (done_o),
    .busy_o            (writer_busy),
    .index_o           (oldest_o),
    .fault_o           (writer_fault)
  );

  assign busy_o = writer_busy || begun_valid;
  assign fault_o = writer_fault.valid ? writer_fault : walker_fault;

  logic unused_command;
  assign unused_command = ^next;

endmodule
