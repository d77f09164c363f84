// SPDX-License-Identifier: Apache-2.0
// Walks the output pixels of a COMPUTE in groups of Pixels, one slot a cycle, ahead of the array.
//
// window = 1: slots are consecutive pixels, rows run on into each other. window > 1: slot j follows
// row y0 + j, all slots in step along x. One adder per address: source, target, addend.

module group_walker #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              clear_i,

  input  logic                              start_i,    // only with idle_o
  input  accel_pkg::compute_command_t       command_i,  // is read with start_i
  output logic                              idle_o,

  output logic                              valid_o,
  input  logic                              ready_i,
  output core_pkg::group_t                  group_o,
  output logic [Pixels-1:0]                 slot_valid_o,
  output core_pkg::address_t [Pixels-1:0]   source_o,
  output core_pkg::address_t [Pixels-1:0]   target_o,
  output core_pkg::address_t [Pixels-1:0]   addend_o
);

  import core_pkg::address_t;

  localparam int unsigned SubBlocks = NPe / Lanes;
  localparam int unsigned SlotWidth = $clog2(Pixels);
  localparam logic [SlotWidth-1:0] LastSlot = SlotWidth'(Pixels - 1);

  typedef struct packed {
    address_t source;
    address_t target;
    address_t addend;
  } place_t;

  accel_pkg::compute_command_t c;
  logic busy_q, valid_q;
  logic [SlotWidth-1:0] slot_q;
  logic [15:0] x_q, y_q;
  logic done_q;  // every pixel of the channel group has a slot
  logic [15:0] blocks_left_q;
  place_t block_q, row_q, pixel_q;
  place_t [Pixels-1:0] slot_place_q;
  logic [Pixels-1:0] slot_valid_q;
  core_pkg::group_t group_q;

  logic windowed, advance, last_slot, last_block, block_end, x_last, row_end;
  logic [15:0] group_blocks;
  place_t place, next_block, row_step, pixel_step, block_step;
  logic place_valid;

  assign windowed = c.window > 4'd1;
  assign group_blocks = c.per_channel[0] ? 16'd1 : 16'(SubBlocks);
  assign last_slot = slot_q == LastSlot;
  assign advance = busy_q && (!last_slot || !valid_q || ready_i);

  assign row_step = '{source: address_t'(c.row_step), target: address_t'(c.target_row_pitch),
                      addend: address_t'(c.addend_row_pitch)};
  assign pixel_step = '{source: address_t'(c.col_step), target: address_t'(1),
                        addend: address_t'(1)};
  assign block_step = '{source: address_t'(c.group_step),
                        target: address_t'(c.target_block_pitch) * address_t'(group_blocks),
                        addend: address_t'(c.addend_block_pitch) * address_t'(group_blocks)};

  function automatic place_t sum(place_t a, place_t b);
    sum.source = a.source + b.source;
    sum.target = a.target + b.target;
    sum.addend = a.addend + b.addend;
  endfunction

  // the place of this slot, and what follows it
  assign x_last = x_q == c.cols - 16'd1;
  always_comb begin
    if (windowed) begin
      place = (x_q == '0) ? row_q : sum(slot_place_q[slot_q], pixel_step);
      place_valid = (x_q == '0) ? !done_q : slot_valid_q[slot_q];
      row_end = x_q == '0 && !done_q;  // a slot takes a row
    end else begin
      place = pixel_q;
      place_valid = !done_q;
      row_end = x_last && !done_q;
    end
  end

  // rows are over after this slot
  logic rows_over;
  assign rows_over = done_q || (row_end && y_q == c.rows - 16'd1);
  assign block_end = last_slot && rows_over && (x_last || !windowed);
  assign last_block = blocks_left_q <= group_blocks;
  assign next_block = sum(block_q, block_step);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
      valid_q <= 1'b0;
    end else if (clear_i) begin
      busy_q <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      if (valid_q && ready_i) valid_q <= 1'b0;
      if (start_i) busy_q <= 1'b1;
      if (advance && last_slot) begin
        valid_q <= 1'b1;
        if (block_end && last_block) busy_q <= 1'b0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      c <= command_i;
      slot_q <= '0;
      x_q <= '0;
      y_q <= '0;
      done_q <= 1'b0;
      blocks_left_q <= command_i.blocks;
      block_q <= '{source: address_t'(command_i.source), target: address_t'(command_i.target),
                   addend: address_t'(command_i.addend)};
      row_q <= '{source: address_t'(command_i.source), target: address_t'(command_i.target),
                 addend: address_t'(command_i.addend)};
      pixel_q <= '{source: address_t'(command_i.source), target: address_t'(command_i.target),
                   addend: address_t'(command_i.addend)};
    end else if (advance) begin
      slot_q <= last_slot ? '0 : slot_q + 1'b1;
      slot_place_q[slot_q] <= place;
      slot_valid_q[slot_q] <= place_valid;
      done_q <= rows_over;
      if (row_end) begin
        y_q <= y_q + 16'd1;
        row_q <= sum(row_q, row_step);
      end
      if (windowed) begin
        if (last_slot) begin
          x_q <= x_last ? '0 : x_q + 16'd1;
        end
      end else begin
        x_q <= x_last ? '0 : x_q + 16'd1;
        pixel_q <= x_last ? sum(row_q, row_step) : sum(pixel_q, pixel_step);
      end
      if (block_end) begin
        blocks_left_q <= blocks_left_q - group_blocks;
        done_q <= 1'b0;
        x_q <= '0;
        y_q <= '0;
        block_q <= next_block;
        row_q <= next_block;
        pixel_q <= next_block;
      end
    end
  end

  // the finished group is offered from the slot registers; they change while it waits only in
  // slots that `advance` holds back, so it is copied
  place_t [Pixels-1:0] out_q;
  logic [Pixels-1:0] out_valid_q;
  logic first_q, new_block_q;
  logic [17:0] accumulator_q;
  address_t parameter_q;

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      first_q <= 1'b1;
      new_block_q <= 1'b0;
      accumulator_q <= 18'(command_i.accumulator);
      parameter_q <= address_t'(command_i.parameter_value);
    end else if (advance && last_slot) begin
      out_q <= slot_place_q;
      out_q[Pixels-1] <= place;
      out_valid_q <= slot_valid_q;
      out_valid_q[Pixels-1] <= place_valid;
      group_q <= '{first: first_q, last: block_end && last_block, new_block: new_block_q,
                   fill: windowed && x_q == '0, blocks_left: blocks_left_q,
                   accumulator: accumulator_q, parameter_word: parameter_q};
      first_q <= 1'b0;
      new_block_q <= block_end;
      accumulator_q <= accumulator_q + 18'd1;
      if (block_end) parameter_q <= parameter_q + address_t'(group_blocks);
    end
  end

  assign idle_o = !busy_q;
  assign valid_o = valid_q;
  assign group_o = group_q;
  for (genvar j = 0; j < Pixels; j++) begin : gen_slot
    assign source_o[j] = out_q[j].source;
    assign target_o[j] = out_q[j].target;
    assign addend_o[j] = out_q[j].addend;
    assign slot_valid_o[j] = out_valid_q[j];
  end

  logic unused_command;
  assign unused_command = ^c;

endmodule
