# Avnet Ultra96-V2: configuration ultra96 of heterolith.hw.config.
#
#   vivado -mode batch -source ultra96-v2.tcl
#
# Not run in CI: it needs Vivado. Checked by tclint only.

source [file join [file dirname [file normalize [info script]]] accelerator.tcl]

accelerator::build ultra96-v2 *:ultra96v2:* ultrascale 200 {
  NPe 16
  Pixels 2
  Lanes 16
  Requantizers 16
  ActivationWords 8192
  WeightWords 1024
  AccumulatorWords 512
  ConfigHash 64'h47e540e8d21fc0d2
}
