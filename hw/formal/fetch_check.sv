// SPDX-License-Identifier: Apache-2.0
// What fetch.sv promises: bursts walk through the job's commands, from the first byte to the last
// and not beyond; beats always find room; commands come out in order, whole, each once.
//
// One beat, chosen by the solver, is followed from the bus to its place in a command.

module fetch_check (
  input logic        clk_i,
  input logic        clear_i,
  input logic        start_i,
  input logic [31:0] offset_i,
  input logic [31:0] count_i,
  input logic        burst_ready_i,
  input logic        beat_valid_i,
  input logic [63:0] beat_i,
  input logic        command_ready_i,
  input logic        choose_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  // beats are counted from 0 since the start of the job
  logic [29:0] total_q = '0, asked_q = '0, arrived_q = '0, popped_q = '0;
  logic burst_valid, command_valid;
  core_pkg::burst_t burst;
  logic [7:0][63:0] command;

  fetch #(
    .BeatBytes(8)
  ) u_dut (
    .clk_i          (clk_i),
    .rst_ni         (started_q),
    .clear_i        (clear_i),
    .start_i        (start_i),
    .offset_i       (offset_i),
    .count_i        (count_i),
    .burst_valid_o  (burst_valid),
    .burst_ready_i  (burst_ready_i),
    .burst_o        (burst),
    .beat_valid_i   (beat_valid_i),
    .beat_i         (beat_i),
    .command_valid_o(command_valid),
    .command_ready_i(command_ready_i),
    .command_o      (command)
  );

  logic [31:0] offset_q = '0;
  logic [5:0] held;  // beats in the queue
  assign held = u_dut.u_beats.count_o;
  logic [4:0] beats;
  logic [29:0] taken_q = '0;  // commands
  logic offered_q = 1'b0, chosen_q = 1'b0, queued_q;
  logic [2:0] number_q;  // of the chosen beat in its command
  logic [5:0] ahead_q;  // beats before it in the queue
  logic [63:0] value_q;
  core_pkg::burst_t burst_q;
  assign beats = 5'(burst.beats_minus_one) + 5'd1;

  always_ff @(posedge clk_i) begin
    burst_q <= burst;
    offered_q <= started_q && burst_valid && !burst_ready_i && !clear_i;
    if (!started_q || clear_i || start_i) begin
      total_q <= started_q && start_i && !clear_i ? 30'({count_i, 3'd0}) : '0;
      offset_q <= started_q ? offset_i : '0;
      asked_q <= '0;
      arrived_q <= '0;
      popped_q <= '0;
      taken_q <= '0;
      chosen_q <= 1'b0;
    end else begin
      asked_q <= asked_q + (burst_valid && burst_ready_i ? 30'(beats) : '0);
      arrived_q <= arrived_q + 30'(beat_valid_i);
      popped_q <= popped_q + 30'(u_dut.pop);
      taken_q <= taken_q + 30'(command_valid && command_ready_i);
      if (beat_valid_i && choose_i && !chosen_q) begin
        chosen_q <= 1'b1;
        queued_q <= 1'b1;
        number_q <= arrived_q[2:0];
        ahead_q <= held - 6'(u_dut.pop);
        value_q <= beat_i;
      end else if (chosen_q && queued_q && u_dut.pop) begin
        queued_q <= ahead_q != '0;
        ahead_q <= ahead_q - 6'd1;
      end else if (chosen_q && !queued_q && command_ready_i) begin
        chosen_q <= 1'b0;
      end
    end
  end

  // beats shifted into the command register, and the number of the first of them
  logic [3:0] parts;
  logic [29:0] first;
  assign parts = command_valid ? 4'd8 : 4'(u_dut.part_q);
  assign first = {taken_q[26:0], 3'd0};

  // where the chosen beat is
  logic [2:0] lane;
  logic [4:0] place;
  assign lane = number_q - parts[2:0];
  assign place = 5'(u_dut.u_beats.read_q) + ahead_q[4:0];

  always_comb begin
    if (started_q) begin
      // control starts an idle fetch with a checked window and clears it before the next job;
      // beats answer bursts; dispatch takes what is there
      if (popped_q != total_q || command_valid) assume (!start_i);
      assume (offset_i[5:0] == '0);
      assume (39'(offset_i) + {1'b0, count_i, 6'd0} <= 39'hffff_ffff);
      if (arrived_q == asked_q) assume (!beat_valid_i);
      if (!command_valid) assume (!command_ready_i);

      // where bursts lie: one after the other from the first command on, none behind the last
      if (burst_valid) begin
        assert (33'(burst.offset) == 33'(offset_q) + {asked_q, 3'd0});
        assert (asked_q + 30'(beats) <= total_q);
        assert (5'(burst.offset[6:3]) + beats <= 5'd16);
        assert (burst.last == (asked_q + 30'(beats) == total_q));
        assert (burst.index == 32'(asked_q[29:3]));
      end
      if (offered_q) assert (burst_valid && burst == burst_q);

      // beats: each asked for is awaited, queued, or gone; there is room for all
      assert (arrived_q <= asked_q && asked_q <= total_q);
      assert (arrived_q == popped_q + 30'(held));
      assert (u_dut.room_q <= 6'd32);
      assert (30'(u_dut.room_q) + asked_q == popped_q + 30'd32);
      if (beat_valid_i) assert (u_dut.unused_ready);
      assert (35'(u_dut.left_q) + 35'(asked_q) == 35'(total_q));

      // commands: in order, whole
      assert (popped_q == first + 30'(parts));
      assert (first <= popped_q && popped_q <= arrived_q);
      if (command_valid && chosen_q && !queued_q) assert (command[number_q] == value_q);

      // what makes it inductive
      assert (total_q[2:0] == '0 && asked_q[2:0] == '0 && offset_q[5:0] == '0);
      assert (34'(offset_q) + {1'b0, total_q, 3'd0} <= 34'hffff_ffff);
      if (asked_q != total_q) assert (30'(u_dut.beat_q) == 30'(offset_q[31:3]) + asked_q);
      if (asked_q != total_q) assert (u_dut.index_q == 32'(asked_q[29:3]));
      if (command_valid) assert (u_dut.part_q == '0);
      if (chosen_q && queued_q) begin
        assert (ahead_q < held && number_q == popped_q[2:0] + ahead_q[2:0]);
        assert (u_dut.u_beats.memory[place] == value_q);
      end
      if (chosen_q && !queued_q) assert (4'(number_q) < parts && command[lane] == value_q);

      cover (chosen_q && !queued_q && command_ready_i && taken_q == 30'd1 && number_q == 3'd5);
      cover (burst_valid && burst.last && asked_q == 30'd16);
    end
  end

endmodule
