# AMD ZCU104: configuration zcu104 of heterolith.hw.config.
#
#   vivado -mode batch -source zcu104.tcl
#
# Not run in CI: it needs Vivado. Checked by tclint only.

source [file join [file dirname [file normalize [info script]]] accelerator.tcl]

accelerator::build zcu104 *:zcu104:* ultrascale 200 {
  NPe 32
  Pixels 4
  Lanes 16
  Requantizers 16
  ActivationWords 8192
  WeightWords 512
  AccumulatorWords 512
  ConfigHash 64'h18c783ca01ec042f
}
