# Synthesize the accelerator with Vitis HLS 2022.1 or later and export it as an IP core.
#
#   vitis_hls -f build.tcl -tclargs NAME PART CLOCK_NS DEFINE...
#
# e.g. `vitis_hls -f build.tcl -tclargs ultra96 xczu3eg-sbva484-1-e 5.0 -DACCEL_N_PE=16 ...`; the
# defines are those of heterolith.hw.device.functional.defines. Not run in CI: there is no Vitis HLS there.
# The C++ itself is compiled and checked by g++ in tests/hw.

if {[llength $argv] < 3} {
  puts stderr "usage: vitis_hls -f build.tcl -tclargs NAME PART CLOCK_NS DEFINE..."
  exit 2
}
set name [lindex $argv 0]
set part [lindex $argv 1]
set clock_ns [lindex $argv 2]
set flags "-std=c++14 [join [lrange $argv 3 end]]"
set here [file dirname [file normalize [info script]]]

open_project -reset "hls_$name"
set_top accelerator
foreach source {accelerator.cpp check.cpp compute.cpp transfer.cpp} {
  add_files [file join $here $source] -cflags $flags
}
open_solution -reset solution -flow_target vivado
set_part $part
create_clock -period $clock_ns -name default
config_interface -m_axi_latency 100 -m_axi_addr64=true
csynth_design
export_design -format ip_catalog -ipname accelerator -vendor heterolith -library hw -version 1.0
exit
