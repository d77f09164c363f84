# Builds a bitstream of the accelerator for a Zynq board. Sourced by the files of the boards.
#
# Not run in CI: it needs Vivado 2022.1 or later and the board files of the vendor. Checked by
# tclint only; no result of it has been on a board.
#
#   vivado -mode batch -source ultra96-v2.tcl
#
# Steps: a Verilog wrapper with the numbers of the configuration (the packager takes no
# SystemVerilog top), packaged with hw/rtl as an IP core; a block design of processing system, core,
# AXI, interrupt and one clock; then build/<board>.bit, .hwh and .xsa below the working folder.

namespace eval accelerator {
  variable here [file dirname [file normalize [info script]]]
  variable rtl [file normalize [file join $here .. .. hw rtl]]
  variable vlnv heterolith:hw:accelerator:1.0
}

# Ports of the wrapper as {direction bits name}; $data and $strobe are the widths of a beat.
proc accelerator::ports {data strobe} {
  set ports {
    {input 1 aclk} {input 1 aresetn} {output 1 irq}
    {input 12 s_axil_awaddr} {input 3 s_axil_awprot} {input 1 s_axil_awvalid}
    {output 1 s_axil_awready} {input 32 s_axil_wdata} {input 4 s_axil_wstrb}
    {input 1 s_axil_wvalid} {output 1 s_axil_wready} {output 2 s_axil_bresp}
    {output 1 s_axil_bvalid} {input 1 s_axil_bready} {input 12 s_axil_araddr}
    {input 3 s_axil_arprot} {input 1 s_axil_arvalid} {output 1 s_axil_arready}
    {output 32 s_axil_rdata} {output 2 s_axil_rresp} {output 1 s_axil_rvalid}
    {input 1 s_axil_rready}
    {output 1 m_axi_awid} {output 64 m_axi_awaddr} {output 8 m_axi_awlen} {output 3 m_axi_awsize}
    {output 2 m_axi_awburst} {output 4 m_axi_awcache} {output 3 m_axi_awprot}
    {output 1 m_axi_awvalid} {input 1 m_axi_awready} {output DATA m_axi_wdata}
    {output STROBE m_axi_wstrb} {output 1 m_axi_wlast} {output 1 m_axi_wvalid}
    {input 1 m_axi_wready} {input 1 m_axi_bid} {input 2 m_axi_bresp} {input 1 m_axi_bvalid}
    {output 1 m_axi_bready} {output 1 m_axi_arid} {output 64 m_axi_araddr} {output 8 m_axi_arlen}
    {output 3 m_axi_arsize} {output 2 m_axi_arburst} {output 4 m_axi_arcache}
    {output 3 m_axi_arprot} {output 1 m_axi_arvalid} {input 1 m_axi_arready} {input 1 m_axi_rid}
    {input DATA m_axi_rdata} {input 2 m_axi_rresp} {input 1 m_axi_rlast} {input 1 m_axi_rvalid}
    {output 1 m_axi_rready}
  }
  return [string map [list DATA $data STROBE $strobe] $ports]
}

# The text of the wrapper. The register window is 4 KB, the smallest of the interconnect; the core
# decodes its 8 low bits.
proc accelerator::wrapper {parameters} {
  set lanes [dict get $parameters Lanes]
  set declared {}
  set connected {}
  foreach port [accelerator::ports [expr {8 * $lanes}] $lanes] {
    lassign $port direction bits name
    set range [expr {$bits == 1 ? "" : "\[[expr {$bits - 1}]:0\] "}]
    lappend declared "  $direction wire $range$name"
    set inner [string map {aclk clk_i aresetn rst_ni irq irq_o} $name]
    set slice [expr {[string match s_axil_a?addr $name] ? "\[7:0\]" : ""}]
    lappend connected "    .${inner}($name$slice)"
  }
  set set_to {}
  dict for {name value} $parameters {
    lappend set_to "    .${name}($value)"
  }
  set lines [list "module accelerator (" [join $declared ",\n"] ");" "  accel_top #("]
  lappend lines [join $set_to ",\n"] "  ) u_core (" [join $connected ",\n"] "  );" "endmodule" ""
  return [join $lines "\n"]
}

# The sources in the order of hw/rtl/accel.f.
proc accelerator::sources {} {
  variable rtl
  set channel [open [file join $rtl accel.f]]
  set lines [split [read $channel] "\n"]
  close $channel
  set files {}
  foreach line $lines {
    if {$line ne "" && ![string match //* $line]} {
      lappend files [file join $rtl $line]
    }
  }
  return $files
}

# Package the core into the folder `ip`.
proc accelerator::package_core {folder parameters} {
  set ip [file join $folder ip]
  file mkdir $ip
  set top [file join $folder accelerator.v]
  set channel [open $top w]
  puts -nonewline $channel [accelerator::wrapper $parameters]
  close $channel
  create_project -force package [file join $folder package]
  add_files -norecurse [concat [accelerator::sources] [list $top]]
  set_property top accelerator [current_fileset]
  update_compile_order -fileset sources_1
  ipx::package_project -root_dir $ip -vendor heterolith -library hw -import_files -force
  set core [ipx::current_core]
  set_property name accelerator $core
  set_property version 1.0 $core
  set_property display_name "Heterolith accelerator" $core
  ipx::infer_bus_interface irq xilinx.com:signal:interrupt_rtl:1.0 $core
  foreach interface {s_axil m_axi} {
    ipx::associate_bus_interfaces -busif $interface -clock aclk $core
  }
  ipx::update_checksums $core
  ipx::check_integrity $core
  ipx::save_core $core
  close_project
  return $ip
}

# A processing system of the UltraScale+ kind; returns its pins by role.
proc accelerator::ultrascale {mhz data_bits} {
  set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps]
  apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $ps
  set_property -dict [list \
    CONFIG.PSU__USE__M_AXI_GP0 1 \
    CONFIG.PSU__USE__M_AXI_GP1 0 \
    CONFIG.PSU__USE__M_AXI_GP2 0 \
    CONFIG.PSU__USE__S_AXI_GP2 1 \
    CONFIG.PSU__SAXIGP2__DATA_WIDTH $data_bits \
    CONFIG.PSU__USE__IRQ0 1 \
    CONFIG.PSU__FPGA_PL0_ENABLE 1 \
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $mhz] $ps
  return {
    master M_AXI_HPM0_FPD master_clock maxihpm0_fpd_aclk
    slave S_AXI_HP0_FPD slave_clock saxihp0_fpd_aclk
    clock pl_clk0 reset pl_resetn0 interrupt pl_ps_irq0
  }
}

# A processing system of the Zynq-7000 kind; returns its pins by role.
proc accelerator::zynq7 {mhz data_bits} {
  set ps [create_bd_cell -type ip -vlnv xilinx.com:ip:processing_system7 ps]
  set config {make_external "FIXED_IO, DDR" apply_board_preset 1}
  apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config $config $ps
  set_property -dict [list \
    CONFIG.PCW_USE_M_AXI_GP0 1 \
    CONFIG.PCW_USE_S_AXI_HP0 1 \
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH $data_bits \
    CONFIG.PCW_USE_FABRIC_INTERRUPT 1 \
    CONFIG.PCW_IRQ_F2P_INTR 1 \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $mhz] $ps
  return {
    master M_AXI_GP0 master_clock M_AXI_GP0_ACLK
    slave S_AXI_HP0 slave_clock S_AXI_HP0_ACLK
    clock FCLK_CLK0 reset FCLK_RESET0_N interrupt IRQ_F2P
  }
}

# Processing system, core, two interconnects, reset and interrupt controller, all on one clock.
# PYNQ finds interrupts behind an AXI interrupt controller alone. hw/overlay/handoff.py describes
# the same design to the simulated device.
proc accelerator::design {processor mhz data_bits} {
  variable vlnv
  create_bd_design system
  set pin [accelerator::$processor $mhz $data_bits]
  create_bd_cell -type ip -vlnv $vlnv accelerator
  create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
  create_bd_cell -type ip -vlnv xilinx.com:ip:axi_intc interrupts
  set_property CONFIG.C_IRQ_CONNECTION 1 [get_bd_cells interrupts]
  foreach {name from to} [list \
    control "ps/[dict get $pin master]" {accelerator/s_axil interrupts/s_axi} \
    memory accelerator/m_axi [list "ps/[dict get $pin slave]"]] {
    set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect $name]
    set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI [llength $to] CONFIG.NUM_CLKS 1] $cell
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $name/S00_AXI]
    set index 0
    foreach sink $to {
      connect_bd_intf_net [get_bd_intf_pins $name/M0${index}_AXI] [get_bd_intf_pins $sink]
      incr index
    }
  }
  set clocked [list accelerator/aclk interrupts/s_axi_aclk control/aclk memory/aclk]
  lappend clocked reset/slowest_sync_clk
  lappend clocked "ps/[dict get $pin master_clock]" "ps/[dict get $pin slave_clock]"
  foreach sink $clocked {
    connect_bd_net [get_bd_pins "ps/[dict get $pin clock]"] [get_bd_pins $sink]
  }
  connect_bd_net [get_bd_pins "ps/[dict get $pin reset]"] [get_bd_pins reset/ext_reset_in]
  foreach sink {accelerator/aresetn interrupts/s_axi_aresetn control/aresetn memory/aresetn} {
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $sink]
  }
  connect_bd_net [get_bd_pins accelerator/irq] [get_bd_pins interrupts/intr]
  connect_bd_net [get_bd_pins interrupts/irq] [get_bd_pins "ps/[dict get $pin interrupt]"]
  assign_bd_address
  validate_bd_design
  save_bd_design
}

# Fail unless the run has finished and its clock is met.
proc accelerator::finish {run} {
  launch_runs $run -to_step write_bitstream -jobs 4
  wait_on_run $run
  if {[get_property PROGRESS [get_runs $run]] ne "100%"} {
    error "$run stopped: [get_property STATUS [get_runs $run]]"
  }
  set slack [get_property STATS.WNS [get_runs $run]]
  if {$slack < 0} {
    error "timing is not met: worst slack $slack ns; lower the clock"
  }
}

# Build everything for a board.
#
# board       name of the outputs
# board_part  pattern of the vendor's board files
# processor   ultrascale or zynq7
# mhz         clock of the core
# parameters  of accel_top, as heterolith.hw.export.rtl_parameters and the fingerprint give them
proc accelerator::build {board board_part processor mhz parameters} {
  set folder [file normalize [file join build $board]]
  set data_bits [expr {8 * [dict get $parameters Lanes]}]
  set found [lindex [lsort -dictionary [get_board_parts -quiet $board_part]] end]
  if {$found eq ""} {
    error "Vivado has no board file $board_part; install the vendor's"
  }
  set ip [accelerator::package_core $folder $parameters]
  create_project -force $board [file join $folder project]
  set_property board_part $found [current_project]
  set_property ip_repo_paths $ip [current_project]
  update_ip_catalog
  accelerator::design $processor $mhz $data_bits
  set design [get_files system.bd]
  add_files -norecurse [make_wrapper -files $design -top]
  set_property top system_wrapper [current_fileset]
  generate_target all $design
  accelerator::finish impl_1
  set project [get_property DIRECTORY [current_project]]
  set bit [file join $project $board.runs impl_1 system_wrapper.bit]
  set hwh [file join $project $board.gen sources_1 bd system hw_handoff system.hwh]
  file copy -force $bit [file join build $board.bit]
  file copy -force $hwh [file join build $board.hwh]
  write_hw_platform -fixed -include_bit -force [file join build $board.xsa]
}
