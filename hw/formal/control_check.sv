// SPDX-License-Identifier: Apache-2.0
// What control.sv promises: tokens and open commands add up to the commands queued, a job ends once
// and only when all are complete, the first error stays, and a still job ends by the watchdog.
//
// The units may do anything but complete what was not queued or queue more than the job has.

module control_check (
  input logic                    clk_i,
  input logic                    start_i,
  input logic                    reset_i,
  input logic [31:0]             window_bytes_i,
  input logic [31:0]             command_offset_i,
  input logic [31:0]             command_count_i,
  input logic [31:0]             watchdog_i,
  input core_pkg::fault_t [1:0]  fault_i,
  input logic [1:0]              unit_i,  // of the command queued
  input logic                    push_i,
  input logic                    finished_i,
  input logic                    load_done_i,
  input logic                    compute_done_i,
  input logic                    store_done_i,
  input logic                    quiet_i,
  input logic                    progress_i,
  input core_pkg::index_t        suspect_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic accepted, begins, clear, busy, running, done, error, done_event, error_event;
  core_pkg::tokens_t tokens;
  accel_pkg::error_e code;
  core_pkg::index_t index;

  control #(
    .Sources(2)
  ) u_dut (
    .clk_i           (clk_i),
    .rst_ni          (started_q),
    .start_i         (start_i),
    .reset_i         (reset_i),
    .window_bytes_i  (window_bytes_i),
    .command_offset_i(command_offset_i),
    .command_count_i (command_count_i),
    .watchdog_i      (watchdog_i),
    .accepted_o      (accepted),
    .begin_o         (begins),
    .clear_o         (clear),
    .tokens_o        (tokens),
    .fault_i         (fault_i),
    .push_i          (push_i),
    .finished_i      (finished_i),
    .load_done_i     (load_done_i),
    .compute_done_i  (compute_done_i),
    .store_done_i    (store_done_i),
    .quiet_i         (quiet_i),
    .progress_i      (progress_i),
    .suspect_i       (suspect_i),
    .busy_o          (busy),
    .running_o       (running),
    .done_o          (done),
    .error_o         (error),
    .error_code_o    (code),
    .error_index_o   (index),
    .done_event_o    (done_event),
    .error_event_o   (error_event)
  );

  // commands queued for each unit since the job began, and those of them not complete
  logic [2:0][32:0] queued_q = '0;
  logic [2:0][5:0] open_q = '0;
  logic [2:0] push, complete;
  assign complete = {store_done_i, compute_done_i, load_done_i};
  for (genvar u = 0; u < 3; u++) begin : gen_unit
    assign push[u] = push_i && unit_i == 2'(u);
  end

  logic [127:0] job_q;
  logic held_q = 1'b0, ended_q = 1'b0;
  accel_pkg::error_e code_q;
  core_pkg::index_t index_q;

  always_ff @(posedge clk_i) begin
    job_q <= {window_bytes_i, command_offset_i, command_count_i, watchdog_i};
    held_q <= started_q && error && !accepted;
    ended_q <= started_q && (done_event || error_event || (ended_q && !accepted));
    code_q <= code;
    index_q <= index;
    for (int u = 0; u < 3; u++) begin
      if (!started_q || accepted) begin
        queued_q[u] <= '0;
        open_q[u] <= '0;
      end else begin
        queued_q[u] <= queued_q[u] + 33'(push[u]);
        open_q[u] <= open_q[u] + 6'(push[u]) - 6'(complete[u]);
      end
    end
  end

  always_comb begin
    if (started_q) begin
      // what registers.sv, dispatch.sv and the units promise
      if (busy) begin
        assume ({window_bytes_i, command_offset_i, command_count_i, watchdog_i} == job_q);
      end
      assume (unit_i != 2'd3);
      if (!running || finished_i) assume (!push_i);
      for (int u = 0; u < 3; u++) begin
        if (open_q[u] == '0 || !busy) assume (!complete[u]);
        if (open_q[u] == 6'd39) assume (!push[u]);  // a queue of 8 and 31 in the unit
        if (queued_q[u] >= 33'(command_count_i)) assume (!push[u]);
      end

      // no token is lost or invented, no counter wraps
      assert (queued_q[0] == 33'(tokens.loads) + 33'(open_q[0]));
      assert (queued_q[1] == 33'(tokens.computes) + 33'(open_q[1]));
      assert (queued_q[2] == 33'(tokens.stores) + 33'(open_q[2]));
      assert (u_dut.open_q == 7'(open_q[0]) + 7'(open_q[1]) + 7'(open_q[2]));
      assert (queued_q[0] <= 33'hffff_ffff && queued_q[1] <= 33'hffff_ffff);
      assert (queued_q[2] <= 33'hffff_ffff);
      assert (open_q[0] <= 6'd39 && open_q[1] <= 6'd39 && open_q[2] <= 6'd39);

      // a job ends once, complete or with an error
      assert (!(done_event && error_event));
      if (done_event || error_event) assert (!ended_q || accepted);
      if (done_event && running) begin
        assert (finished_i && quiet_i);
        assert (33'(tokens.loads) == queued_q[0] && 33'(tokens.computes) == queued_q[1]);
        assert (33'(tokens.stores) == queued_q[2]);
      end
      assert (!(done && error));
      if (done) assert (!busy && u_dut.open_q == '0);
      if (running) assert (!ended_q);
      assert (ended_q == (done || error));
      if (accepted) assert (!busy);
      if (begins) assert (accepted);
      if (error_event && !accepted) assert (running);

      // the first error stays
      if (held_q) assert (error && code == code_q && index == index_q);
      if (error) assert (code != accel_pkg::ErrorNone || running || clear || !busy);

      // units are cleared until the bus is quiet; a job that stands still ends
      assert (busy == (running || clear));
      if (running && watchdog_i != '0) assert (u_dut.still_q <= watchdog_i);
      if (running && watchdog_i != '0 && u_dut.still_q == watchdog_i) assert (error_event);

      cover (done && tokens.loads == 32'd1 && tokens.computes == 32'd1 && tokens.stores == 32'd1);
      cover (error && code == accel_pkg::ErrorWatchdog && !busy);
    end
  end

endmodule
