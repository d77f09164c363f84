// SPDX-License-Identifier: Apache-2.0
// The units of the accelerator and what joins them: control, fetch, load, compute, store, buffers.

module core #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Pixels = 2,
  parameter int unsigned Lanes = 16,
  parameter int unsigned Requantizers = 8,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  parameter int unsigned AccumulatorWords = 512,
  localparam int unsigned DataBits = 8 * Lanes
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                start_i,
  input  logic                reset_i,
  input  logic [63:0]         window_base_i,
  input  logic [31:0]         window_bytes_i,
  input  logic [31:0]         command_offset_i,
  input  logic [31:0]         command_count_i,
  input  logic [31:0]         watchdog_i,

  output logic                accepted_o,
  output logic                busy_o,
  output logic                done_o,
  output logic                error_o,
  output accel_pkg::error_e   error_code_o,
  output core_pkg::index_t    error_index_o,
  output logic                done_event_o,
  output logic                error_event_o,
  output core_pkg::tokens_t   tokens_o,
  output core_pkg::events_t   events_o,

  output logic [63:0]         m_axi_awaddr,
  output logic [ 7:0]         m_axi_awlen,
  output logic                m_axi_awvalid,
  input  logic                m_axi_awready,
  output logic [DataBits-1:0] m_axi_wdata,
  output logic [Lanes-1:0]    m_axi_wstrb,
  output logic                m_axi_wlast,
  output logic                m_axi_wvalid,
  input  logic                m_axi_wready,
  input  logic [ 1:0]         m_axi_bresp,
  input  logic                m_axi_bvalid,
  output logic                m_axi_bready,
  output logic [63:0]         m_axi_araddr,
  output logic [ 7:0]         m_axi_arlen,
  output logic                m_axi_arvalid,
  input  logic                m_axi_arready,
  input  logic [DataBits-1:0] m_axi_rdata,
  input  logic [ 1:0]         m_axi_rresp,
  input  logic                m_axi_rlast,
  input  logic                m_axi_rvalid,
  output logic                m_axi_rready
);

  import core_pkg::*;

  logic begin_job;
  logic clear, running, quiet, progress, read_quiet, write_quiet;
  logic push, finished, load_done, compute_done, store_done;
  fault_t compute_fault, load_fault, store_fault, read_fault, write_fault, dispatch_fault;
  index_t read_oldest, write_oldest, compute_oldest, load_oldest, suspect;

  control #(
    .Sources(6)
  ) u_control (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .start_i         (start_i),
    .reset_i         (reset_i),
    .window_bytes_i  (window_bytes_i),
    .command_offset_i(command_offset_i),
    .command_count_i (command_count_i),
    .watchdog_i      (watchdog_i),
    .accepted_o      (accepted_o),
    .begin_o         (begin_job),
    .clear_o         (clear),
    .tokens_o        (tokens_o),
    .fault_i         ({dispatch_fault, write_fault, read_fault, store_fault, load_fault,
                       compute_fault}),
    .push_i          (push),
    .finished_i      (finished),
    .load_done_i     (load_done),
    .compute_done_i  (compute_done),
    .store_done_i    (store_done),
    .quiet_i         (quiet),
    .progress_i      (progress),
    .suspect_i       (suspect),
    .busy_o          (busy_o),
    .running_o       (running),
    .done_o          (done_o),
    .error_o         (error_o),
    .error_code_o    (error_code_o),
    .error_index_o   (error_index_o),
    .done_event_o    (done_event_o),
    .error_event_o   (error_event_o)
  );
  assign quiet = read_quiet && write_quiet;

  // commands
  logic fetch_valid, fetch_ready, fetch_beat, command_valid, command_ready;
  burst_t fetch_burst;
  logic [511:0] command;
  logic [DataBits-1:0] beat;
  logic load_command_valid, load_command_ready, compute_command_valid, compute_command_ready;
  logic store_command_valid, store_command_ready;
  load_entry_t load_command;
  compute_entry_t compute_command;
  store_entry_t store_command;

  fetch #(
    .BeatBytes(Lanes)
  ) u_fetch (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .clear_i        (clear),
    .start_i        (begin_job),
    .offset_i       (command_offset_i),
    .count_i        (command_count_i),
    .burst_valid_o  (fetch_valid),
    .burst_ready_i  (fetch_ready),
    .burst_o        (fetch_burst),
    .beat_valid_i   (fetch_beat),
    .beat_i         (beat),
    .command_valid_o(command_valid),
    .command_ready_i(command_ready),
    .command_o      (command)
  );

  dispatch #(
    .NPe  (NPe),
    .Lanes(Lanes)
  ) u_dispatch (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .clear_i        (clear),
    .start_i        (begin_job),
    .count_i        (command_count_i),
    .push_o         (push),
    .finished_o     (finished),
    .fault_o        (dispatch_fault),
    .command_valid_i(command_valid),
    .command_ready_o(command_ready),
    .command_i      (command),
    .load_valid_o   (load_command_valid),
    .load_ready_i   (load_command_ready),
    .load_o         (load_command),
    .compute_valid_o(compute_command_valid),
    .compute_ready_i(compute_command_ready),
    .compute_o      (compute_command),
    .store_valid_o  (store_command_valid),
    .store_ready_i  (store_command_ready),
    .store_o        (store_command)
  );

  // bus
  logic load_valid, load_ready, load_beat, load_beat_ready, read_beat;
  logic store_valid, store_ready, store_data_valid, store_data_ready, write_beat, response;
  burst_t load_burst, store_burst;
  logic [DataBits-1:0] store_data;

  axi_reader #(
    .BeatBytes(Lanes)
  ) u_reader (
    .clk_i            (clk_i),
    .rst_ni           (rst_ni),
    .stop_i           (clear),
    .quiet_o          (read_quiet),
    .window_base_i    (window_base_i),
    .fetch_valid_i    (fetch_valid),
    .fetch_ready_o    (fetch_ready),
    .fetch_i          (fetch_burst),
    .fetch_beat_o     (fetch_beat),
    .load_valid_i     (load_valid),
    .load_ready_o     (load_ready),
    .load_i           (load_burst),
    .load_beat_o      (load_beat),
    .load_beat_ready_i(load_beat_ready),
    .data_o           (beat),
    .fault_o          (read_fault),
    .oldest_o         (read_oldest),
    .beat_o           (read_beat),
    .m_axi_araddr     (m_axi_araddr),
    .m_axi_arlen      (m_axi_arlen),
    .m_axi_arvalid    (m_axi_arvalid),
    .m_axi_arready    (m_axi_arready),
    .m_axi_rdata      (m_axi_rdata),
    .m_axi_rresp      (m_axi_rresp),
    .m_axi_rlast      (m_axi_rlast),
    .m_axi_rvalid     (m_axi_rvalid),
    .m_axi_rready     (m_axi_rready)
  );

  axi_writer #(
    .BeatBytes(Lanes)
  ) u_writer (
    .clk_i        (clk_i),
    .rst_ni       (rst_ni),
    .stop_i       (clear),
    .quiet_o      (write_quiet),
    .window_base_i(window_base_i),
    .burst_valid_i(store_valid),
    .burst_ready_o(store_ready),
    .burst_i      (store_burst),
    .data_valid_i (store_data_valid),
    .data_ready_o (store_data_ready),
    .data_i       (store_data),
    .done_o       (store_done),
    .fault_o      (write_fault),
    .oldest_o     (write_oldest),
    .beat_o       (write_beat),
    .response_o   (response),
    .m_axi_awaddr (m_axi_awaddr),
    .m_axi_awlen  (m_axi_awlen),
    .m_axi_awvalid(m_axi_awvalid),
    .m_axi_awready(m_axi_awready),
    .m_axi_wdata  (m_axi_wdata),
    .m_axi_wstrb  (m_axi_wstrb),
    .m_axi_wlast  (m_axi_wlast),
    .m_axi_wvalid (m_axi_wvalid),
    .m_axi_wready (m_axi_wready),
    .m_axi_bresp  (m_axi_bresp),
    .m_axi_bvalid (m_axi_bvalid),
    .m_axi_bready (m_axi_bready)
  );

  // units
  logic progressing;
  activity_t activity;

  datapath #(
    .NPe             (NPe),
    .Pixels          (Pixels),
    .Lanes           (Lanes),
    .Requantizers    (Requantizers),
    .ActivationWords (ActivationWords),
    .WeightWords     (WeightWords),
    .AccumulatorWords(AccumulatorWords)
  ) u_datapath (
    .clk_i                  (clk_i),
    .rst_ni                 (rst_ni),
    .clear_i                (clear),
    .tokens_i               (tokens_o),
    .window_bytes_i         (window_bytes_i),
    .load_command_valid_i   (load_command_valid),
    .load_command_ready_o   (load_command_ready),
    .load_command_i         (load_command),
    .compute_command_valid_i(compute_command_valid),
    .compute_command_ready_o(compute_command_ready),
    .compute_command_i      (compute_command),
    .store_command_valid_i  (store_command_valid),
    .store_command_ready_o  (store_command_ready),
    .store_command_i        (store_command),
    .load_valid_o           (load_valid),
    .load_ready_i           (load_ready),
    .load_burst_o           (load_burst),
    .load_beat_i            (load_beat),
    .load_beat_ready_o      (load_beat_ready),
    .beat_i                 (beat),
    .store_valid_o          (store_valid),
    .store_ready_i          (store_ready),
    .store_burst_o          (store_burst),
    .store_data_valid_o     (store_data_valid),
    .store_data_ready_i     (store_data_ready),
    .store_data_o           (store_data),
    .load_done_o            (load_done),
    .compute_done_o         (compute_done),
    .store_done_i           (store_done),
    .load_fault_o           (load_fault),
    .compute_fault_o        (compute_fault),
    .store_fault_o          (store_fault),
    .load_oldest_o          (load_oldest),
    .compute_oldest_o       (compute_oldest),
    .progress_o             (progressing),
    .activity_o             (activity)
  );

  // what the counters and the watchdog see
  assign progress = read_beat || write_beat || response || push || progressing;
  always_comb begin
    suspect = activity.load_busy ? load_oldest : compute_oldest;
    if (!read_quiet) suspect = read_oldest;
    else if (!write_quiet) suspect = write_oldest;
  end
  assign events_o = '{
          cycle: running,
          activity: activity,
          read_beat: read_beat,
          write_beat: write_beat
      };

endmodule
