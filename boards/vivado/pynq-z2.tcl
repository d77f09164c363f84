# TUL PYNQ-Z2: configuration pynq-z2 of heterolith.hw.config.
#
#   vivado -mode batch -source pynq-z2.tcl
#
# Not run in CI: it needs Vivado. Checked by tclint only.

source [file join [file dirname [file normalize [info script]]] accelerator.tcl]

accelerator::build pynq-z2 *:pynq-z2:* zynq7 100 {
  NPe 16
  Pixels 2
  Lanes 8
  Requantizers 8
  ActivationWords 8192
  WeightWords 1024
  AccumulatorWords 512
  ConfigHash 64'h409e66f8dd80cbb0
}
