// SPDX-License-Identifier: Apache-2.0
// Types that modules of the core share; what software sees is in accel_pkg.

package core_pkg;

  // Buffer addresses run ahead of their bound check by a few groups; at this width none wraps.
  parameter int unsigned AddressWidth = 26;
  typedef logic [AddressWidth-1:0] address_t;

  typedef logic [31:0] index_t;

  // A stop reason and the command that caused it.
  typedef struct packed {
    logic valid;
    accel_pkg::error_e code;
    index_t index;
  } fault_t;

  // A read or write of consecutive beats, inside the memory window.
  typedef struct packed {
    logic [31:0] offset;
    logic [3:0] beats_minus_one;
    logic last;
    index_t index;
  } burst_t;

  // What unit queues hold: a checked command and its position in the job.
  typedef struct packed {
    index_t index;
    accel_pkg::load_command_t command;
  } load_entry_t;

  typedef struct packed {
    index_t index;
    accel_pkg::compute_command_t command;
  } compute_entry_t;

  typedef struct packed {
    index_t index;
    accel_pkg::store_command_t command;
  } store_entry_t;

  // Completed commands per unit.
  typedef struct packed {
    logic [31:0] loads;
    logic [31:0] computes;
    logic [31:0] stores;
  } tokens_t;

  // What the units do in a cycle, from the lowest bit in the order of the counters.
  typedef struct packed {
    logic array_step;
    logic store_wait;
    logic compute_wait_store;
    logic compute_wait_load;
    logic load_wait;
    logic store_busy;
    logic compute_busy;
    logic load_busy;
  } activity_t;

  // What one cycle adds to the performance counters.
  typedef struct packed {
    logic write_beat;
    logic read_beat;
    activity_t activity;
    logic cycle;
  } events_t;

  // Scalars of a pixel group; its addresses per slot travel beside it.
  typedef struct packed {
    logic first;      // first group of its COMPUTE
    logic last;       // last group of its COMPUTE
    logic new_block;  // first group of the next channel group
    logic fill;       // the window registers hold nothing of this row yet
    logic [15:0] blocks_left;
    logic [17:0] accumulator;
    address_t parameter_word;
  } group_t;

  // A step on its way through the array.
  typedef struct packed {
    logic fire;         // the array takes the operands
    logic first;        // of a group: start from the initial value
    logic last;         // of a group: the sum is complete
    logic addend;       // the words read are residual operands
    logic shift;        // the window registers take the word
    logic [3:0] row;    // of the window registers
    logic [3:0] window;
    logic per_channel;
    logic maximum;
    logic accumulate;
    logic partial;
    logic [17:0] accumulator;
  } step_t;

  // What the drain needs to know of a group besides its targets.
  typedef struct packed {
    index_t index;
    logic last;  // of its COMPUTE
    logic partial;
    logic per_channel;
    logic residual;
    logic to_activation;
    logic [15:0] blocks_left;
    logic [15:0] target_block_pitch;
    address_t parameter_word;
    logic [7:0] addend_zero;
    logic [15:0] addend_multiplier;
    logic [5:0] addend_shift;
    logic [7:0] output_zero;
    logic [7:0] low;
    logic [7:0] high;
  } drain_t;

  // How a requantizer scales its second operand and closes.
  typedef struct packed {
    logic residual;
    logic [15:0] addend_multiplier;
    logic [5:0] addend_shift;
    logic [7:0] output_zero;
    logic [7:0] low;
    logic [7:0] high;
  } finish_t;

  function automatic logic reached(tokens_t done, logic [23:0] loads, logic [23:0] computes,
                                   logic [23:0] stores);
    return done.loads >= 32'(loads) && done.computes >= 32'(computes) && done.stores >= 32'(stores);
  endfunction

endpackage
