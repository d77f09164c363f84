// SPDX-License-Identifier: Apache-2.0
// What dispatch.sv promises: a command that passes goes into one queue that has room, positions
// count up, nothing follows a fault. The checks themselves may say anything here.

module dispatch_check (
  input logic         clk_i,
  input logic         clear_i,
  input logic         start_i,
  input logic [31:0]  count_i,
  input logic         command_valid_i,
  input logic [511:0] command_i,
  input logic         load_ready_i,
  input logic         compute_ready_i,
  input logic         store_ready_i
);

  logic started_q = 1'b0;
  always_ff @(posedge clk_i) started_q <= 1'b1;

  logic push, finished, command_ready, load_valid, compute_valid, store_valid;
  core_pkg::fault_t fault;
  core_pkg::load_entry_t load;
  core_pkg::compute_entry_t compute;
  core_pkg::store_entry_t store;

  dispatch u_dut (
    .clk_i          (clk_i),
    .rst_ni         (started_q),
    .clear_i        (clear_i),
    .start_i        (start_i),
    .count_i        (count_i),
    .push_o         (push),
    .finished_o     (finished),
    .fault_o        (fault),
    .command_valid_i(command_valid_i),
    .command_ready_o(command_ready),
    .command_i      (command_i),
    .load_valid_o   (load_valid),
    .load_ready_i   (load_ready_i),
    .load_o         (load),
    .compute_valid_o(compute_valid),
    .compute_ready_i(compute_ready_i),
    .compute_o      (compute),
    .store_valid_o  (store_valid),
    .store_ready_i  (store_ready_i),
    .store_o        (store)
  );

  // queued commands by the handshakes alone, and commands since the start of the job
  logic [3:0] loads_q = '0, computes_q = '0, stores_q = '0;
  logic [31:0] total_q = '0;
  logic faulty_q = 1'b0;

  logic to_load, to_compute, to_store, none;
  assign to_load = push && command_i[3:0] == accel_pkg::OpcodeLoad;
  assign to_compute = push && command_i[3:0] == accel_pkg::OpcodeCompute;
  assign to_store = push && command_i[3:0] == accel_pkg::OpcodeStore;
  assign none = loads_q == '0 && computes_q == '0 && stores_q == '0;

  always_ff @(posedge clk_i) begin
    if (!started_q || clear_i) begin
      loads_q <= '0;
      computes_q <= '0;
      stores_q <= '0;
    end else begin
      loads_q <= loads_q + 4'(to_load) - 4'(load_valid && load_ready_i);
      computes_q <= computes_q + 4'(to_compute) - 4'(compute_valid && compute_ready_i);
      stores_q <= stores_q + 4'(to_store) - 4'(store_valid && store_ready_i);
    end
    if (!started_q || clear_i || start_i) begin
      total_q <= '0;
      faulty_q <= 1'b0;
    end else begin
      total_q <= total_q + 32'(push);
      if (fault.valid) faulty_q <= 1'b1;
    end
  end

  always_comb begin
    if (started_q) begin
      assert (command_ready == push);
      if (push) assert (command_valid_i && to_load + to_compute + to_store == 2'd1);
      if (to_load) assert (loads_q != 4'd8);
      if (to_compute) assert (computes_q != 4'd8);
      if (to_store) assert (stores_q != 4'd8);

      assert (loads_q <= 4'd8 && computes_q <= 4'd8 && stores_q <= 4'd8);
      assert (u_dut.u_loads.count_o == loads_q);
      assert (u_dut.u_computes.count_o == computes_q);
      assert (u_dut.u_stores.count_o == stores_q);
      assert (load_valid == (loads_q != '0));
      assert (compute_valid == (computes_q != '0));
      assert (store_valid == (stores_q != '0));

      assert (u_dut.index_q == total_q);
      assert (u_dut.dispatched_q.loads + u_dut.dispatched_q.computes + u_dut.dispatched_q.stores ==
              total_q);
      assert (finished == (total_q == count_i));
      assert (u_dut.faulty_q == faulty_q);
      if (faulty_q) assert (!push && !fault.valid);
      if (fault.valid) assert (!push && fault.index == total_q);

      cover (loads_q == 4'd1 && computes_q == 4'd1 && stores_q == 4'd1);
      cover (faulty_q && !none);
    end
  end

endmodule
