// SPDX-License-Identifier: Apache-2.0
// Cuts a region of DRAM (blocks of rows of beats) into bursts.
//
// Rows and blocks that lie end to end are one run. Each burst ends where its run ends or at a
// multiple of 16 beats, so none crosses 4 KB. A burst outside the memory window is reported, not
// offered, and the walk stops there until clear_i.

module dram_walker #(
  parameter int unsigned BeatBytes = 16
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,

  input  logic        [31:0] window_bytes_i,

  input  logic               start_i,  // only with idle_o; takes the region
  output logic               idle_o,
  input  core_pkg::index_t   index_i,
  input  logic        [31:0] offset_i,
  input  logic        [15:0] beats_i,  // of a row
  input  logic        [15:0] rows_i,
  input  logic        [15:0] blocks_i,
  input  logic        [31:0] row_pitch_i,
  input  logic        [31:0] block_pitch_i,

  output logic               valid_o,
  input  logic               ready_i,
  output core_pkg::burst_t   burst_o,
  output core_pkg::fault_t   fault_o
);

  localparam int unsigned BeatWidth = $clog2(BeatBytes);
  localparam int unsigned BurstBeats = accel_pkg::BurstBeats;

  // Positions count beats. A position past the window ends the walk at its first burst, so that
  // one more pitch than the window holds is the most a position reaches.
  typedef logic [33:0] position_t;

  typedef enum logic [1:0] {
    StIdle,
    StBlock,
    StTotal,
    StWalk
  } state_e;

  state_e state_q;
  core_pkg::index_t index_q;
  logic [15:0] beats_q, rows_q, blocks_q, row_q, block_q;
  logic [31:0] row_pitch_q, block_pitch_q, block_beats_q;
  logic [47:0] run_beats_q, left_q;
  position_t position_q, row_start_q, block_start_q;
  logic valid_q, fault_q;

  logic rows_join;
  assign rows_join = row_pitch_q == 32'(beats_q) || rows_q == 16'd1;

  logic [4:0] room, beats;
  logic run_end, row_last, block_last, walk, outside;
  position_t next_row, next_block, end_position;
  assign room = 5'(BurstBeats) - 5'(position_q[3:0]);
  assign run_end = left_q <= 48'(room);
  assign beats = run_end ? left_q[4:0] : room;
  assign row_last = row_q == 16'd1;
  assign block_last = block_q == 16'd1;
  assign next_row = row_start_q + position_t'(row_pitch_q);
  assign next_block = block_start_q + position_t'(block_pitch_q);
  assign end_position = position_q + position_t'(beats);
  assign outside = {end_position, BeatWidth'(0)} > (34 + BeatWidth)'(window_bytes_i);
  assign walk = state_q == StWalk && (!valid_q || ready_i) && !fault_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      valid_q <= 1'b0;
      fault_q <= 1'b0;
    end else if (clear_i) begin
      state_q <= StIdle;
      valid_q <= 1'b0;
      fault_q <= 1'b0;
    end else begin
      if (valid_q && ready_i) valid_q <= 1'b0;
      unique case (state_q)
        StIdle: if (start_i) state_q <= StBlock;
        StBlock: state_q <= StTotal;
        StTotal: state_q <= StWalk;
        default: begin
          if (walk && outside) fault_q <= 1'b1;
          if (walk && !outside) begin
            valid_q <= 1'b1;
            if (run_end && row_last && block_last) state_q <= StIdle;
          end
        end
      endcase
    end
  end
  assign fault_o = '{valid: fault_q, code: accel_pkg::ErrorAddress, index: index_q};

  always_ff @(posedge clk_i) begin
    unique case (state_q)
      StIdle: begin
        if (start_i) begin
          index_q <= index_i;
          beats_q <= beats_i;
          rows_q <= rows_i;
          blocks_q <= blocks_i;
          row_pitch_q <= row_pitch_i;
          block_pitch_q <= block_pitch_i;
          position_q <= position_t'(offset_i[31:BeatWidth]);
          row_start_q <= position_t'(offset_i[31:BeatWidth]);
          block_start_q <= position_t'(offset_i[31:BeatWidth]);
        end
      end
      StBlock: block_beats_q <= 32'(beats_q) * 32'(rows_q);
      StTotal: begin
        run_beats_q <= 48'(beats_q);
        left_q <= 48'(beats_q);
        row_q <= rows_q;
        block_q <= blocks_q;
        if (rows_join) begin
          run_beats_q <= 48'(block_beats_q);
          left_q <= 48'(block_beats_q);
          row_q <= 16'd1;
          rows_q <= 16'd1;
          if (block_pitch_q == block_beats_q || blocks_q == 16'd1) begin
            run_beats_q <= 48'(block_beats_q) * 48'(blocks_q);
            left_q <= 48'(block_beats_q) * 48'(blocks_q);
            block_q <= 16'd1;
          end
        end
      end
      default: begin
        if (walk) begin
          position_q <= end_position;
          left_q <= left_q - 48'(beats);
          if (run_end) begin
            left_q <= run_beats_q;
            row_q <= row_q - 16'd1;
            position_q <= next_row;
            row_start_q <= next_row;
            if (row_last) begin
              row_q <= rows_q;
              block_q <= block_q - 16'd1;
              position_q <= next_block;
              row_start_q <= next_block;
              block_start_q <= next_block;
            end
          end
        end
      end
    endcase
    if (walk) begin
      burst_o <= '{
          offset: 32'(position_q << BeatWidth),
          beats_minus_one: 4'(beats - 5'd1),
          last: run_end && row_last && block_last,
          index: index_q
      };
    end
  end

  assign valid_o = valid_q;
  assign idle_o = state_q == StIdle;

  logic unused_offset;
  assign unused_offset = ^offset_i[BeatWidth-1:0];

endmodule
