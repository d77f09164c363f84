// SPDX-License-Identifier: Apache-2.0
// Stands for hw/rtl/command_check.sv in the proof of dispatch.sv: any result for any command, but a
// command without a unit never passes.

module command_check #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Lanes = 16
) (
  input  logic              clk_i,
  input  logic [511:0]      command_i,
  input  core_pkg::tokens_t dispatched_i,
  output accel_pkg::error_e error_o
);

  import accel_pkg::*;

  // the solver chooses the top bits of a command, which dispatch does not read
  logic known;
  assign known = command_i[3:0] inside {OpcodeLoad, OpcodeCompute, OpcodeStore};
  assign error_o = !known ? ErrorOpcode : command_i[511] ? ErrorField : ErrorNone;

  logic unused;
  assign unused = ^{clk_i, command_i, dispatched_i, NPe[0], Lanes[0]};

endmodule
