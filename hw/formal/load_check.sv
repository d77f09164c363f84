// SPDX-License-Identifier: Apache-2.0
// What load_unit.sv promises: no LOAD begins without its tokens, each one that began is completed
// once and in order, never more than six are open. Products of the walker are cut.
//
// One command, chosen by the solver, is followed from its handshake to its end.

module load_check (
  input logic                    clk_i,
  input logic                    clear_i,
  input logic                    command_valid_i,
  input core_pkg::load_entry_t   command_i,
  input core_pkg::tokens_t       tokens_i,
  input logic [31:0]             window_bytes_i,
  input logic                    burst_ready_i,
  input logic                    beat_valid_i,
  input logic [63:0]             beat_i,
  input logic                    activation_ready_i,
  input logic                    choose_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic command_ready, burst_valid, beat_ready, done, busy, waits;
  logic activation_write, weight_write, parameter_write;
  core_pkg::burst_t burst;
  core_pkg::address_t address;
  logic [2:0] bank;
  logic [63:0] data;
  core_pkg::fault_t fault;
  core_pkg::index_t oldest;

  load_unit #(
    .NPe            (8),
    .Lanes          (8),
    .ActivationWords(512),
    .WeightWords    (512)
  ) u_dut (
    .clk_i             (clk_i),
    .rst_ni            (started_q),
    .clear_i           (clear_i),
    .command_valid_i   (command_valid_i),
    .command_ready_o   (command_ready),
    .command_i         (command_i),
    .tokens_i          (tokens_i),
    .window_bytes_i    (window_bytes_i),
    .burst_valid_o     (burst_valid),
    .burst_ready_i     (burst_ready_i),
    .burst_o           (burst),
    .beat_valid_i      (beat_valid_i),
    .beat_ready_o      (beat_ready),
    .beat_i            (beat_i),
    .activation_write_o(activation_write),
    .activation_ready_i(activation_ready_i),
    .weight_write_o    (weight_write),
    .parameter_write_o (parameter_write),
    .address_o         (address),
    .bank_o            (bank),
    .data_o            (data),
    .done_o            (done),
    .fault_o           (fault),
    .oldest_o          (oldest),
    .busy_o            (busy),
    .wait_o            (waits)
  );

  logic begins;
  logic [2:0] open_q = '0, ahead_q = '0;
  logic chosen_q = 1'b0, held_q = 1'b0, gone_q = 1'b0;
  core_pkg::index_t index_q;
  assign begins = command_valid_i && command_ready;

  always_ff @(posedge clk_i) begin
    held_q <= started_q && activation_write && !activation_ready_i && !clear_i;
    if (!started_q || clear_i) begin
      open_q <= '0;
      chosen_q <= 1'b0;
      gone_q <= 1'b0;
    end else begin
      if (u_dut.u_writer.advance && u_dut.u_writer.last && u_dut.u_writer.outside) gone_q <= 1'b1;
      open_q <= open_q + 3'(begins) - 3'(done);
      if (chosen_q) begin
        if (done) begin
          if (ahead_q == '0) chosen_q <= 1'b0;
          else ahead_q <= ahead_q - 3'd1;
        end
      end else if (begins && choose_i) begin
        chosen_q <= 1'b1;
        index_q <= command_i.index;
        ahead_q <= open_q - 3'(done);
      end
    end
  end

  // an open command is complete but for its last word, at work, or queued; one that leaves the
  // buffer with its last word is gone
  logic ending, working, lost;
  logic [2:0] queued, queue_ahead;
  logic [1:0] place;
  assign ending = u_dut.u_writer.done_q;
  assign working = u_dut.u_writer.busy_q;
  assign lost = u_dut.u_writer.fault_q;
  assign queued = u_dut.u_begun.count_o;
  assign queue_ahead = ahead_q - 3'(ending) - 3'(working);
  assign place = u_dut.u_begun.read_q[1:0] + queue_ahead[1:0];

  always_comb begin
    if (started_q) begin
      if (command_ready) begin
        assert (command_valid_i && !clear_i);
        assert (tokens_i.loads >= {8'd0, command_i.command.wait_load});
        assert (tokens_i.computes >= {8'd0, command_i.command.wait_compute});
        assert (tokens_i.stores >= {8'd0, command_i.command.wait_store});
      end
      if (waits) assert (!command_ready);

      assert (queued <= 3'd4);
      assert (open_q == queued + 3'(working) + 3'(ending) + 3'(gone_q));
      if (done) assert (open_q != '0);
      if (u_dut.u_writer.valid_q && !ending) assert (working || lost);
      if (!lost) assert (open_q <= 3'd6 && busy == (open_q != '0));
      if (lost) assert (fault.valid);
      if (gone_q) assert (lost);
      if (held_q) assert (activation_write);
      assert (2'(activation_write) + 2'(weight_write) + 2'(parameter_write) <= 2'd1);

      if (chosen_q && !lost) begin
        assert (ahead_q < open_q);
        if (ahead_q >= 3'(ending) && ahead_q < 3'(ending) + 3'(working)) begin
          assert (oldest == index_q);
        end
        if (ahead_q >= 3'(ending) + 3'(working)) begin
          assert (u_dut.u_begun.memory[place][543:512] == index_q);
        end
      end

      cover (open_q == 3'd6);
      cover (chosen_q && ahead_q == 3'd1 && done);
    end
  end

endmodule
