# AMD Kria KV260: configuration kv260 of heterolith.hw.config.
#
#   vivado -mode batch -source kv260.tcl
#
# Not run in CI: it needs Vivado. Checked by tclint only.

source [file join [file dirname [file normalize [info script]]] accelerator.tcl]

accelerator::build kv260 *:kv260_som:* ultrascale 200 {
  NPe 32
  Pixels 2
  Lanes 16
  Requantizers 16
  ActivationWords 4096
  WeightWords 512
  AccumulatorWords 512
  ConfigHash 64'h40213bab10fd245e
}
