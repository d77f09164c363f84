// SPDX-License-Identifier: Apache-2.0
// The life of a job: start, tokens, end, first error, soft reset, watchdog.
//
// An error or a soft reset clears all units and stops new bursts; the core is busy until those
// already issued are answered. The error itself shows at once: the bus may never answer.

module control #(
  parameter int unsigned Sources = 6
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,

  input  logic                           start_i,  // writes to CONTROL
  input  logic                           reset_i,
  input  logic [31:0]                    window_bytes_i,
  input  logic [31:0]                    command_offset_i,
  input  logic [31:0]                    command_count_i,
  input  logic [31:0]                    watchdog_i,

  output logic                           accepted_o,  // START while idle: counters begin anew
  output logic                           begin_o,  // a job begins
  output logic                           clear_o,  // level: units forget what they do
  output core_pkg::tokens_t              tokens_o,

  input  core_pkg::fault_t [Sources-1:0] fault_i,  // index 0 wins in one cycle
  input  logic                           push_i,
  input  logic                           finished_i,
  input  logic                           load_done_i,
  input  logic                           compute_done_i,
  input  logic                           store_done_i,
  input  logic                           quiet_i,
  input  logic                           progress_i,
  input  core_pkg::index_t               suspect_i,  // the command to blame when nothing moves

  output logic                           busy_o,
  output logic                           running_o,
  output logic                           done_o,
  output logic                           error_o,
  output accel_pkg::error_e              error_code_o,
  output core_pkg::index_t               error_index_o,
  output logic                           done_event_o,
  output logic                           error_event_o
);

  typedef enum logic [1:0] {
    StIdle,
    StRun,
    StFlush
  } state_e;

  state_e state_q;
  core_pkg::tokens_t tokens_q;
  logic done_q, error_q;
  accel_pkg::error_e code_q;
  core_pkg::index_t index_q;
  logic [6:0] open_q;  // commands in queues and units
  logic [31:0] still_q;

  logic accepted, misplaced, expired, complete;
  core_pkg::fault_t fault;

  assign accepted = start_i && state_q == StIdle;
  assign misplaced = command_offset_i[5:0] != '0 ||
      39'(command_offset_i) + {1'b0, command_count_i, 6'b0} > 39'(window_bytes_i);
  assign accepted_o = accepted;
  assign begin_o = accepted && !misplaced && command_count_i != '0;
  assign expired = watchdog_i != '0 && still_q >= watchdog_i;
  assign complete = finished_i && open_q == '0 && quiet_i;

  always_comb begin
    fault = '{valid: expired, code: accel_pkg::ErrorWatchdog, index: suspect_i};
    for (int i = int'(Sources) - 1; i >= 0; i--) begin
      if (fault_i[i].valid) fault = fault_i[i];
    end
    if (state_q != StRun) begin
      fault = '{valid: accepted && misplaced, code: accel_pkg::ErrorAddress, index: '0};
    end
  end

  assign error_event_o = fault.valid;
  assign done_event_o = !fault.valid && ((accepted && command_count_i == '0) ||
                                         (state_q == StRun && complete && !reset_i));

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      done_q <= 1'b0;
      error_q <= 1'b0;
      code_q <= accel_pkg::ErrorNone;
      index_q <= '0;
    end else begin
      unique case (state_q)
        StIdle: if (begin_o) state_q <= StRun;
        StRun: begin
          if (fault.valid || reset_i) state_q <= StFlush;
          else if (complete) state_q <= StIdle;
        end
        default: if (quiet_i) state_q <= StIdle;
      endcase
      if (accepted) begin
        done_q <= 1'b0;
        error_q <= 1'b0;
        code_q <= accel_pkg::ErrorNone;
        index_q <= '0;
      end
      if (done_event_o) done_q <= 1'b1;
      if (error_event_o) begin
        error_q <= 1'b1;
        code_q <= fault.code;
        index_q <= fault.index;
      end
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      tokens_q <= '0;
      open_q <= '0;
      still_q <= '0;
    end else if (accepted) begin
      tokens_q <= '0;
      open_q <= '0;
      still_q <= '0;
    end else begin
      if (load_done_i) tokens_q.loads <= tokens_q.loads + 32'd1;
      if (compute_done_i) tokens_q.computes <= tokens_q.computes + 32'd1;
      if (store_done_i) tokens_q.stores <= tokens_q.stores + 32'd1;
      open_q <= open_q + 7'(push_i) - 7'(load_done_i) - 7'(compute_done_i) - 7'(store_done_i);
      still_q <= (progress_i || state_q != StRun) ? '0 : still_q + 32'd1;
    end
  end

  assign clear_o = state_q == StFlush;
  assign busy_o = state_q != StIdle;
  assign running_o = state_q == StRun;
  assign tokens_o = tokens_q;
  assign done_o = done_q;
  assign error_o = error_q;
  assign error_code_o = code_q;
  assign error_index_o = index_q;

endmodule
