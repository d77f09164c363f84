// SPDX-License-Identifier: Apache-2.0
// Reads the commands of a job in order and puts their beats together.
//
// A burst is asked for when the queue has room for a whole one, so that beats never wait.

module fetch #(
  parameter int unsigned BeatBytes = 16,
  localparam int unsigned DataBits = 8 * BeatBytes
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                clear_i,

  input  logic                start_i,
  input  logic [31:0]         offset_i,
  input  logic [31:0]         count_i,

  output logic                burst_valid_o,
  input  logic                burst_ready_i,
  output core_pkg::burst_t    burst_o,
  input  logic                beat_valid_i,
  input  logic [DataBits-1:0] beat_i,

  output logic                command_valid_o,
  input  logic                command_ready_i,
  output logic [511:0]        command_o
);

  localparam int unsigned BeatWidth = $clog2(BeatBytes);
  localparam int unsigned CommandBeats = accel_pkg::CommandBytes / BeatBytes;
  localparam int unsigned PartWidth = $clog2(CommandBeats);
  localparam int unsigned BurstBeats = accel_pkg::BurstBeats;
  localparam int unsigned Depth = 2 * BurstBeats;
  localparam int unsigned CountWidth = $clog2(Depth) + 1;

  // what is still to ask for
  logic [31-BeatWidth:0] beat_q;
  logic [31+PartWidth:0] left_q;
  logic [CountWidth-1:0] room_q;  // of the queue, less what is under way
  logic [4:0] to_boundary, beats;
  logic last, issue, pop;

  assign to_boundary = 5'(BurstBeats) - 5'(beat_q[3:0]);
  assign last = left_q <= (32 + PartWidth)'(to_boundary);
  assign beats = last ? left_q[4:0] : to_boundary;
  assign burst_valid_o = left_q != '0 && room_q >= CountWidth'(BurstBeats);
  assign issue = burst_valid_o && burst_ready_i;

  core_pkg::index_t index_q;  // of the command whose beat comes first in the burst
  assign burst_o = '{
          offset: {beat_q, BeatWidth'(0)},
          beats_minus_one: 4'(beats - 5'd1),
          last: last,
          index: index_q
      };

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      left_q <= '0;
      room_q <= CountWidth'(Depth);
    end else if (clear_i) begin
      left_q <= '0;
      room_q <= CountWidth'(Depth);
    end else begin
      if (start_i) left_q <= {count_i, PartWidth'(0)};
      else if (issue) left_q <= left_q - (32 + PartWidth)'(beats);
      room_q <= room_q - (issue ? CountWidth'(beats) : '0) + CountWidth'(pop);
    end
  end
  always_ff @(posedge clk_i) begin
    if (start_i) begin
      beat_q <= offset_i[31:BeatWidth];
      index_q <= '0;
    end else if (issue) begin
      beat_q <= beat_q + (32 - BeatWidth)'(beats);
      index_q <= index_q + 32'(beats >> PartWidth);
    end
  end

  logic beat_valid, unused_ready;
  logic [DataBits-1:0] beat;
  logic [CountWidth-1:0] unused_count;
  fifo #(
    .Width(DataBits),
    .Depth(Depth)
  ) u_beats (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .valid_i(beat_valid_i),
    .ready_o(unused_ready),
    .data_i (beat_i),
    .valid_o(beat_valid),
    .ready_i(pop),
    .data_o (beat),
    .count_o(unused_count)
  );

  // beats shift in from above until the first one is at the bottom
  logic valid_q;
  logic [PartWidth-1:0] part_q;
  assign pop = beat_valid && (!valid_q || command_ready_i);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      part_q <= '0;
    end else if (clear_i) begin
      valid_q <= 1'b0;
      part_q <= '0;
    end else begin
      if (command_ready_i) valid_q <= 1'b0;
      if (pop) begin
        part_q <= part_q + 1'b1;
        valid_q <= part_q == PartWidth'(CommandBeats - 1);
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (pop) command_o <= {beat, command_o[511:DataBits]};
  end
  assign command_valid_o = valid_q;

  logic unused_offset;
  assign unused_offset = ^offset_i[BeatWidth-1:0];

endmodule
