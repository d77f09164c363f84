// SPDX-License-Identifier: Apache-2.0
// Turns pixel groups into steps: one a cycle, no gap between groups or commands.
//
// A group's last step waits until the requantizers can take its sums, `pace` cycles after those
// of the group before. Residual words are read as further steps. Bounds are checked a cycle after
// issue, where addresses are registered.

module sequencer #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned Requantizers = 8,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  parameter int unsigned AccumulatorWords = 512
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              clear_i,

  // the COMPUTE whose groups arrive
  input  core_pkg::compute_entry_t          entry_i,
  output logic                              entry_done_o,

  input  logic                              group_valid_i,
  output logic                              group_ready_o,
  input  core_pkg::group_t                  group_i,
  input  logic [Pixels-1:0]                 slot_valid_i,
  input  core_pkg::address_t [Pixels-1:0]   source_i,
  input  core_pkg::address_t [Pixels-1:0]   addend_i,

  // to the drain, with the first step of a group
  output logic                              drain_push_o,
  input  logic                              drain_ready_i,

  // registered: a step, its reads
  output logic                              step_valid_o,
  output core_pkg::step_t                   step_o,
  output core_pkg::address_t [Pixels-1:0]   read_o,
  output logic [$clog2(WeightWords)-1:0]    weight_o,
  output core_pkg::fault_t                  fault_o
);

  import core_pkg::address_t;

  localparam int unsigned SubBlocks = NPe / Lanes;
  localparam int unsigned WordCycles = Lanes / Requantizers;
  localparam int unsigned PaceWidth = $clog2(SubBlocks * Pixels * WordCycles + 1);
  localparam int unsigned WeightIndexWidth = $clog2(WeightWords);

  accel_pkg::compute_command_t c;
  assign c = entry_i.command;

  logic fresh_q, addend_q;  // first step of a group; in its residual steps
  logic [15:0] kx_q, kb_q;
  logic [7:0] ky_q;
  address_t column_q, row_q, block_q;  // offsets from a slot's source
  address_t addend_offset_q;
  logic [15:0] sub_block_q;
  address_t weight_q, weight_group_q;
  logic [PaceWidth-1:0] pace_q;

  logic windowed, fire, go, hold, x_last, y_last, b_last, k_last, group_end;
  logic [15:0] columns, new_columns, old_columns, last_sub_block;
  address_t skip, weight, offset;

  assign windowed = c.window > 4'd1;
  assign new_columns = (group_i.fill || c.col_step > 16'(c.window)) ? 16'(c.window) : c.col_step;
  assign columns = windowed ? new_columns : 16'(c.k_cols);
  assign old_columns = 16'(c.window) - new_columns;
  assign skip = windowed ? address_t'(old_columns) : '0;
  assign last_sub_block = c.per_channel[0] ? 16'd0 : 16'(SubBlocks - 1);

  assign x_last = kx_q == columns - 16'd1;
  assign y_last = ky_q == c.k_rows - 8'd1;
  assign b_last = kb_q == c.k_blocks - 16'd1;
  assign k_last = !addend_q && x_last && y_last && b_last;
  assign fire = !addend_q && (!windowed || x_last);

  assign hold = (k_last && pace_q != '0) || (fresh_q && !drain_ready_i);
  assign go = group_valid_i && !hold;
  assign group_end = go && (addend_q ? sub_block_q == last_sub_block : k_last && !c.residual[0]);

  assign group_ready_o = group_end;
  assign entry_done_o = group_end && group_i.last;
  assign drain_push_o = go && fresh_q;

  always_comb begin
    weight = weight_q;
    if (fresh_q) begin
      if (group_i.first) weight = address_t'(c.weight);
      else if (!group_i.new_block) weight = weight_group_q;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      fresh_q <= 1'b1;
      addend_q <= 1'b0;
      pace_q <= '0;
      kx_q <= '0;
      ky_q <= '0;
      kb_q <= '0;
      column_q <= '0;
      row_q <= '0;
      block_q <= '0;
    end else if (clear_i) begin
      fresh_q <= 1'b1;
      addend_q <= 1'b0;
      pace_q <= '0;
      kx_q <= '0;
      ky_q <= '0;
      kb_q <= '0;
      column_q <= '0;
      row_q <= '0;
      block_q <= '0;
    end else begin
      if (pace_q != '0) pace_q <= pace_q - 1'b1;
      if (go) begin
        fresh_q <= group_end;
        if (k_last) begin
          addend_q <= c.residual[0];
          if (!c.partial[0]) begin
            pace_q <= c.per_channel[0] ? PaceWidth'(Pixels * WordCycles - 1)
                                       : PaceWidth'(SubBlocks * Pixels * WordCycles - 1);
          end
        end
        if (group_end) addend_q <= 1'b0;
        if (!addend_q) begin
          kx_q <= x_last ? '0 : kx_q + 16'd1;
          column_q <= column_q + (windowed ? address_t'(1) : address_t'(c.k_col_step));
          if (x_last) begin
            ky_q <= y_last ? '0 : ky_q + 8'd1;
            column_q <= row_q + address_t'(c.k_row_step);
            row_q <= row_q + address_t'(c.k_row_step);
            if (y_last) begin
              kb_q <= kb_q + 16'd1;
              column_q <= block_q + address_t'(c.k_block_step);
              row_q <= block_q + address_t'(c.k_block_step);
              block_q <= block_q + address_t'(c.k_block_step);
            end
          end
          if (k_last) begin
            kb_q <= '0;
            column_q <= '0;
            row_q <= '0;
            block_q <= '0;
          end
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (go) begin
      if (fresh_q) weight_group_q <= weight;
      weight_q <= (fire && !c.hold_weight[0]) ? weight + address_t'(1) : weight;
      addend_offset_q <= addend_q ? addend_offset_q + address_t'(c.addend_block_pitch) : '0;
      sub_block_q <= addend_q ? sub_block_q + 16'd1 : '0;
    end
  end

  // issue
  logic [Pixels-1:0] checked_q;
  address_t weight_issue_q;
  core_pkg::index_t index_q;
  logic initial_q;

  assign offset = column_q + skip;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) step_valid_o <= 1'b0;
    else step_valid_o <= go && !clear_i;
  end

  always_ff @(posedge clk_i) begin
    if (go) begin
      step_o <= '{
          fire: fire,
          first: !addend_q && kb_q == '0 && ky_q == '0,
          last: k_last,
          addend: addend_q,
          shift: windowed && !addend_q,
          row: ky_q[3:0],
          window: c.window,
          per_channel: c.per_channel[0],
          maximum: c.maximum[0],
          accumulate: c.accumulate[0],
          partial: c.partial[0],
          accumulator: group_i.accumulator
      };
      if (!windowed) step_o.first <= !addend_q && fresh_q;
      for (int unsigned j = 0; j < Pixels; j++) begin
        read_o[j] <= addend_q ? addend_i[j] + addend_offset_q : source_i[j] + offset;
      end
      checked_q <= (addend_q && sub_block_q >= group_i.blocks_left) ? '0 : slot_valid_i;
      weight_issue_q <= weight;
      initial_q <= (c.accumulate[0] || c.partial[0]) && fresh_q;
      index_q <= entry_i.index;
    end
  end
  assign weight_o = WeightIndexWidth'(weight_issue_q);

  // bounds
  logic outside;
  always_comb begin
    outside = 1'b0;
    for (int unsigned j = 0; j < Pixels; j++) begin
      if (checked_q[j] && read_o[j] >= address_t'(ActivationWords)) outside = 1'b1;
    end
    if (step_o.fire && weight_issue_q >= address_t'(WeightWords)) outside = 1'b1;
    if (initial_q && step_o.accumulator >= 18'(AccumulatorWords)) outside = 1'b1;
  end
  assign fault_o = '{
          valid: step_valid_o && outside,
          code: accel_pkg::ErrorBuffer,
          index: index_q
      };

  logic unused_command;
  assign unused_command = ^{c, group_i.parameter_word};

endmodule
