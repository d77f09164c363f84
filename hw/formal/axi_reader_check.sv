// SPDX-License-Identifier: Apache-2.0
// What axi_reader.sv promises: addresses hold until taken, fetch before load, at most 16 bursts in
// flight, every beat to the requester of its burst, and silence from stop_i on.
//
// One burst, chosen by the solver, is followed from its grant to its last beat.

module axi_reader_check (
  input logic             clk_i,
  input logic             stop_i,
  input logic             fetch_valid_i,
  input core_pkg::burst_t fetch_i,
  input logic             load_valid_i,
  input core_pkg::burst_t load_i,
  input logic             load_beat_ready_i,
  input logic             arready_i,
  input logic             rvalid_i,
  input logic             rlast_i,
  input logic [1:0]       rresp_i,
  input logic [63:0]      rdata_i,
  input logic             choose_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic quiet, fetch_ready, fetch_beat, load_ready, load_beat, beat, arvalid, rready;
  logic [63:0] data, araddr;
  logic [7:0] arlen;
  core_pkg::fault_t fault;
  core_pkg::index_t oldest;

  axi_reader #(
    .BeatBytes(8)
  ) u_dut (
    .clk_i            (clk_i),
    .rst_ni           (started_q),
    .stop_i           (stop_i),
    .quiet_o          (quiet),
    .window_base_i    (64'h0),
    .fetch_valid_i    (fetch_valid_i),
    .fetch_ready_o    (fetch_ready),
    .fetch_i          (fetch_i),
    .fetch_beat_o     (fetch_beat),
    .load_valid_i     (load_valid_i),
    .load_ready_o     (load_ready),
    .load_i           (load_i),
    .load_beat_o      (load_beat),
    .load_beat_ready_i(load_beat_ready_i),
    .data_o           (data),
    .fault_o          (fault),
    .oldest_o         (oldest),
    .beat_o           (beat),
    .m_axi_araddr     (araddr),
    .m_axi_arlen      (arlen),
    .m_axi_arvalid    (arvalid),
    .m_axi_arready    (arready_i),
    .m_axi_rdata      (rdata_i),
    .m_axi_rresp      (rresp_i),
    .m_axi_rlast      (rlast_i),
    .m_axi_rvalid     (rvalid_i),
    .m_axi_rready     (rready)
  );

  logic fetch_taken, load_taken, granted, ended;
  assign fetch_taken = fetch_valid_i && fetch_ready;
  assign load_taken = load_valid_i && load_ready;
  assign granted = fetch_taken || load_taken;
  assign ended = rvalid_i && rready && rlast_i;

  // bursts granted and those of them whose address was taken, less the ended ones
  logic [4:0] flying_q = '0, addressed_q = '0, ahead_q = '0;
  logic chosen_q = 1'b0, owner_q;
  core_pkg::index_t index_q;
  logic offered_q = 1'b0, stopped_q = 1'b0;
  logic [63:0] araddr_q;
  logic [7:0] arlen_q;

  always_ff @(posedge clk_i) begin
    offered_q <= started_q && arvalid && !arready_i;
    stopped_q <= started_q && stop_i;
    araddr_q <= araddr;
    arlen_q <= arlen;
    if (!started_q) begin
      flying_q <= '0;
      addressed_q <= '0;
      chosen_q <= 1'b0;
    end else begin
      flying_q <= flying_q + 5'(granted) - 5'(ended);
      addressed_q <= addressed_q + 5'(arvalid && arready_i) - 5'(ended);
      if (chosen_q) begin
        if (ended) begin
          if (ahead_q == '0) chosen_q <= 1'b0;
          else ahead_q <= ahead_q - 5'd1;
        end
      end else if (granted && choose_i) begin
        chosen_q <= 1'b1;
        owner_q <= fetch_taken;
        index_q <= fetch_taken ? fetch_i.index : load_i.index;
        ahead_q <= flying_q - 5'(ended);
      end
    end
  end

  // where the chosen burst lies: what makes the proof inductive
  logic [3:0] place;
  assign place = u_dut.u_origins.read_q[3:0] + ahead_q[3:0];

  always_comb begin
    if (started_q) begin
      // a slave answers what it was asked
      if (addressed_q == '0) assume (!rvalid_i);

      assert (!(fetch_taken && load_taken));
      assert (!(fetch_valid_i && load_ready));
      assert (!(stop_i && granted));
      if (offered_q) assert (arvalid && araddr == araddr_q && arlen == arlen_q);
      if (stopped_q && !offered_q) assert (!arvalid);
      if (arvalid) assert (arlen <= 8'd15);

      assert (flying_q <= 5'd16);
      assert (u_dut.u_origins.count_o == flying_q);
      assert (quiet == (flying_q == '0));
      assert (flying_q == addressed_q + 5'(arvalid));
      if (rready) assert (!quiet);

      assert (!(fetch_beat && load_beat));
      assert ((fetch_beat || load_beat) == (rvalid_i && rready && !stop_i));
      if (load_beat) assert (load_beat_ready_i);
      if (stop_i && !quiet) assert (rready);

      if (chosen_q) begin
        assert (ahead_q < flying_q);
        assert (u_dut.u_origins.memory[place] == {owner_q, index_q});
        if (ahead_q == '0 && fetch_beat) assert (owner_q);
        if (ahead_q == '0 && load_beat) assert (!owner_q && oldest == index_q);
      end

      cover (chosen_q && owner_q && ahead_q == 5'd2 && ended);
      cover (chosen_q && !owner_q && ahead_q == '0 && ended && load_beat);
    end
  end

endmodule
