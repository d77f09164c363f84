// SPDX-License-Identifier: Apache-2.0
// Writes what LOADs bring: a word a cycle, padding where the command says so.
//
// Activations and images stand in a padded rectangle. An image row passes pixel by pixel through a
// shift register of Lanes / 4 pixels, which is the word to write once it is full. Weights and
// parameters fill the banks of a word in DRAM order.

module load_writer #(
  parameter int unsigned NPe = 16,
  parameter int unsigned Lanes = 16,
  parameter int unsigned ActivationWords = 8192,
  parameter int unsigned WeightWords = 1024,
  localparam int unsigned WordBits = 8 * Lanes,
  localparam int unsigned BankWidth = $clog2(NPe) > 3 ? $clog2(NPe) : 3
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      clear_i,

  input  logic                      command_valid_i,
  output logic                      command_ready_o,
  input  core_pkg::load_entry_t     command_i,

  input  logic                      beat_valid_i,
  output logic                      beat_ready_o,
  input  logic [WordBits-1:0]       beat_i,

  // registered writes; an activation word may have to wait for the port
  output logic                      activation_write_o,
  input  logic                      activation_ready_i,
  output logic                      weight_write_o,
  output logic                      parameter_write_o,
  output core_pkg::address_t        address_o,
  output logic [BankWidth-1:0]      bank_o,
  output logic [WordBits-1:0]       data_o,

  output logic                      done_o,
  output logic                      busy_o,
  output core_pkg::index_t          index_o,  // of the command at work, while busy
  output core_pkg::fault_t          fault_o
);

  import accel_pkg::*;
  import core_pkg::address_t;

  localparam int unsigned WordPixels = Lanes / ImageChannels;
  localparam int unsigned SubWidth = $clog2(WordPixels);
  localparam logic [SubWidth-1:0] LastSub = SubWidth'(WordPixels - 1);

  load_command_t next, c;
  core_pkg::index_t index_q;
  logic busy_q, start, image, next_image, linear, covered, covered_row, advance, word_ready;
  logic pixel_end, last, row_end;
  logic [16:0] x, y, next_cols;
  logic valid_q, done_q, fault_q, write_done;
  memory_e memory_q;
  address_t rect_address;

  assign next = command_i.command;
  assign next_image = next.memory == MemoryImage;
  assign start = command_valid_i && (!busy_q || (advance && last)) && !clear_i;
  assign command_ready_o = start;
  // an image row needs as many steps more as the shift register has pixels before the last
  assign next_cols = 17'(next.cols) + 17'(next.left) + 17'(next.right) +
                     (next_image ? 17'(WordPixels - 1) : 17'd0);

  rect_walker u_walker (
    .clk_i        (clk_i),
    .start_i      (start),
    .base_i       (next_image ? address_t'(next.buffer) - address_t'(WordPixels - 1)
                              : address_t'(next.buffer)),
    .cols_i       (next_cols),
    .rows_i       (17'(next.rows) + 17'(next.top) + 17'(next.bottom)),
    .blocks_i     (next.blocks),
    .row_pitch_i  (next.buffer_row_pitch),
    .block_pitch_i(next.buffer_block_pitch),
    .advance_i    (advance),
    .address_o    (rect_address),
    .x_o          (x),
    .y_o          (y),
    .row_end_o    (row_end),
    .last_o       (last)
  );

  assign image = c.memory == MemoryImage;
  assign linear = c.memory == MemoryWeight || c.memory == MemoryParameter;
  assign covered_row = y >= 17'(c.top) && y < 17'(c.top) + 17'(c.rows) && !c.fill[0];
  assign covered = covered_row && x >= 17'(c.left) && x < 17'(c.left) + 17'(c.cols);

  // pixels of an image
  logic [SubWidth-1:0] sub_q;
  logic [31:0] pixel;
  logic [WordPixels-2:0][31:0] pixels_q;
  logic [WordPixels-1:0][31:0] pixels;
  assign pixels = {pixel, pixels_q};
  assign pixel = covered ? beat_i[32*sub_q+:32] : {4{c.pad_value}};
  assign pixel_end = sub_q == LastSub || x == 17'(c.left) + 17'(c.cols) - 17'd1;

  // words of weights and parameters
  logic [BankWidth-1:0] bank_q, last_bank;
  address_t word_q;
  assign last_bank = c.memory == MemoryWeight ? BankWidth'(NPe - 1)
                                              : BankWidth'(ParameterBytes - 1);

  logic write, outside;
  address_t address, depth;
  assign write = !image || x >= 17'(WordPixels - 1);
  assign address = linear ? word_q : rect_address;
  always_comb begin
    unique case (c.memory)
      MemoryWeight: depth = address_t'(WeightWords);
      MemoryParameter: depth = address_t'(ParameterWords);
      default: depth = address_t'(ActivationWords);
    endcase
  end
  assign outside = write && address >= depth;

  assign advance = busy_q && (!covered || beat_valid_i) && word_ready && !fault_q;
  assign beat_ready_o = advance && covered && (!image || pixel_end);

  // the write register
  assign word_ready = !valid_q || write_done;
  assign activation_write_o = valid_q && (memory_q == MemoryActivation || memory_q == MemoryImage);
  assign weight_write_o = valid_q && memory_q == MemoryWeight;
  assign parameter_write_o = valid_q && memory_q == MemoryParameter;
  assign write_done = valid_q && (!activation_write_o || activation_ready_i);
  assign done_o = done_q && (!valid_q || write_done);

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      busy_q <= 1'b0;
      valid_q <= 1'b0;
      done_q <= 1'b0;
      fault_q <= 1'b0;
    end else if (clear_i) begin
      busy_q <= 1'b0;
      valid_q <= 1'b0;
      done_q <= 1'b0;
      fault_q <= 1'b0;
    end else begin
      if (start) busy_q <= 1'b1;
      else if (advance && last) busy_q <= 1'b0;
      if (word_ready) begin
        valid_q <= advance && write && !outside;
        done_q <= advance && last && !outside;
      end
      if (advance && outside) fault_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start) begin
      c <= next;
      index_q <= command_i.index;
      sub_q <= '0;
      bank_q <= '0;
      word_q <= address_t'(next.buffer);
    end else if (advance) begin
      if (covered) sub_q <= pixel_end ? '0 : sub_q + 1'b1;
      bank_q <= bank_q == last_bank ? '0 : bank_q + 1'b1;
      if (bank_q == last_bank) word_q <= word_q + address_t'(1);
    end
    if (advance) begin
      memory_q <= memory_e'(c.memory);
      address_o <= address;
      bank_o <= bank_q;
      if (image) begin
        pixels_q <= pixels[WordPixels-1:1];
        data_o <= pixels;
      end else begin
        data_o <= covered ? beat_i : {Lanes{c.pad_value}};
      end
    end
  end

  assign busy_o = busy_q || valid_q || done_q;
  assign index_o = index_q;
  assign fault_o = '{valid: fault_q, code: ErrorBuffer, index: index_q};

  logic unused_command;
  assign unused_command = ^{c, row_end};

endmodule
