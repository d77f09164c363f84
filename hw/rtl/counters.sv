// SPDX-License-Identifier: Apache-2.0
// The performance counters: 64 bits each, in the order of events_t from its lowest bit.

module counters #(
  localparam int unsigned Count = $bits(core_pkg::events_t)
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   clear_i,
  input  core_pkg::events_t      events_i,
  output logic [Count-1:0][63:0] count_o
);

  logic [Count-1:0] event_bits;
  assign event_bits = events_i;

  for (genvar i = 0; i < Count; i++) begin : gen_counter
    logic [63:0] count_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) count_q <= '0;
      else if (clear_i) count_q <= '0;
      else if (event_bits[i]) count_q <= count_q + 64'd1;
    end
    assign count_o[i] = count_q;
  end

endmodule
