// SPDX-License-Identifier: Apache-2.0
// What axi_writer.sv promises: addresses and data hold until taken, WLAST on the beat that the
// address promised, at most 8 bursts without response, and no strobe from stop_i on.
//
// One burst, chosen by the solver, is followed from its grant to its last beat.

module axi_writer_check (
  input logic             clk_i,
  input logic             stop_i,
  input logic             burst_valid_i,
  input core_pkg::burst_t burst_i,
  input logic             data_valid_i,
  input logic [63:0]      data_i,
  input logic             awready_i,
  input logic             wready_i,
  input logic             bvalid_i,
  input logic [1:0]       bresp_i,
  input logic             choose_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic quiet, burst_ready, data_ready, done, beat, response, awvalid, wlast, wvalid, bready;
  logic [63:0] awaddr, wdata;
  logic [7:0] awlen, wstrb;
  core_pkg::fault_t fault;
  core_pkg::index_t oldest;

  axi_writer #(
    .BeatBytes(8)
  ) u_dut (
    .clk_i        (clk_i),
    .rst_ni       (started_q),
    .stop_i       (stop_i),
    .quiet_o      (quiet),
    .window_base_i(64'h0),
    .burst_valid_i(burst_valid_i),
    .burst_ready_o(burst_ready),
    .burst_i      (burst_i),
    .data_valid_i (data_valid_i),
    .data_ready_o (data_ready),
    .data_i       (data_i),
    .done_o       (done),
    .fault_o      (fault),
    .oldest_o     (oldest),
    .beat_o       (beat),
    .response_o   (response),
    .m_axi_awaddr (awaddr),
    .m_axi_awlen  (awlen),
    .m_axi_awvalid(awvalid),
    .m_axi_awready(awready_i),
    .m_axi_wdata  (wdata),
    .m_axi_wstrb  (wstrb),
    .m_axi_wlast  (wlast),
    .m_axi_wvalid (wvalid),
    .m_axi_wready (wready_i),
    .m_axi_bresp  (bresp_i),
    .m_axi_bvalid (bvalid_i),
    .m_axi_bready (bready)
  );

  logic granted, sent, finished;
  assign granted = burst_valid_i && burst_ready;
  assign sent = wvalid && wready_i;
  assign finished = sent && wlast;

  // bursts without response, bursts with beats to send, beats sent of the first of these
  logic [3:0] waiting_q = '0, unsent_q = '0, ahead_q = '0, beats_q = '0, length_q;
  logic chosen_q = 1'b0, stopped_q = 1'b0;
  logic aw_offered_q = 1'b0, w_offered_q = 1'b0;
  logic [71:0] aw_q;
  logic [72:0] w_q;

  always_ff @(posedge clk_i) begin
    aw_offered_q <= started_q && awvalid && !awready_i;
    w_offered_q <= started_q && wvalid && !wready_i;
    stopped_q <= started_q && stop_i;
    aw_q <= {awaddr, awlen};
    w_q <= {wdata, wstrb, wlast};
    if (!started_q) begin
      waiting_q <= '0;
      unsent_q <= '0;
      beats_q <= '0;
      chosen_q <= 1'b0;
    end else begin
      waiting_q <= waiting_q + 4'(granted) - 4'(response);
      unsent_q <= unsent_q + 4'(granted) - 4'(finished);
      if (sent) beats_q <= wlast ? '0 : beats_q + 4'd1;
      if (chosen_q) begin
        if (finished) begin
          if (ahead_q == '0) chosen_q <= 1'b0;
          else ahead_q <= ahead_q - 4'd1;
        end
      end else if (granted && choose_i) begin
        chosen_q <= 1'b1;
        length_q <= burst_i.beats_minus_one;
        ahead_q <= unsent_q - 4'(finished);
      end
    end
  end

  // the last beat of a burst waits in a register after its length has left the queue
  logic ending, queued;
  logic [3:0] queue_ahead;
  logic [2:0] place;
  assign ending = wvalid && wlast;
  assign queued = chosen_q && !(ending && ahead_q == '0);
  assign queue_ahead = ahead_q - 4'(ending);
  assign place = u_dut.u_lengths.read_q[2:0] + queue_ahead[2:0];

  always_comb begin
    if (started_q) begin
      assert (!(stop_i && granted));
      if (aw_offered_q) assert (awvalid && {awaddr, awlen} == aw_q);
      if (w_offered_q) assert (wvalid && {wdata, wstrb, wlast} == w_q);
      if (stopped_q && !aw_offered_q) assert (!awvalid);
      if (stopped_q && !w_offered_q && wvalid) assert (wstrb == '0);
      if (awvalid) assert (awlen <= 8'd15);

      assert (waiting_q <= 4'd8);
      assert (u_dut.u_origins.count_o == waiting_q);
      assert (quiet == (waiting_q == '0));
      assert (bready == (waiting_q != '0));
      assert (u_dut.u_lengths.count_o <= 4'd8);
      assert (unsent_q == u_dut.u_lengths.count_o + 4'(ending));
      if (wvalid) assert (unsent_q != '0);

      // beats made and beats sent differ by the one in the register
      if (!wvalid) assert (u_dut.beat_q == beats_q);
      if (wvalid && !wlast) assert (u_dut.beat_q == beats_q + 4'd1 && u_dut.beat_q != '0);
      if (ending) assert (u_dut.beat_q == '0);
      if (u_dut.beat_q != '0) assert (u_dut.length_valid);
      if (u_dut.length_valid) assert (u_dut.beat_q <= u_dut.length);

      if (chosen_q) begin
        assert (ahead_q < unsent_q);
        if (queued) assert (u_dut.u_lengths.memory[place] == length_q);
        if (wvalid && ahead_q == '0) assert (wlast == (beats_q == length_q));
      end

      cover (chosen_q && ahead_q == 4'd1 && finished);
      cover (chosen_q && ahead_q == '0 && finished && length_q == 4'd2);
      cover (stop_i && sent && wstrb == '0);
    end
  end

endmodule
