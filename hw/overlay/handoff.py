"""The hardware handoff (.hwh) of the overlay: what PYNQ reads about a design, without Vivado.

It describes the block design of ``boards/vivado/accelerator.tcl`` (processing system, accelerator,
interrupt controller, one clock) with the registers of `heterolith.hw.regmap`, in the elements and
attributes that pynqmetadata 0.2 looks at. The simulated device is loaded with it; on a board PYNQ
reads the file that Vivado wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from heterolith.hw.regmap import REGISTERS, Access, Register

VLNV = "heterolith:hw:accelerator:1.0"
"""What the packaged core is called; the driver binds to it."""

ACCELERATOR_BASE, INTERRUPTS_BASE = 0xA000_0000, 0xA001_0000
ACCELERATOR_BYTES, INTERRUPTS_BYTES = 4096, 65536
"""Addresses in the window of M_AXI_HPM0_FPD."""

REFERENCE_MHZ = 33.333
"""Crystal of the Zynq UltraScale+ boards; the PLLs multiply it by an integer."""

_ACCESS = {
    Access.RO: "read-only",
    Access.RW: "read-write",
    Access.WO: "write-only",
    Access.W1C: "read-write",
}
_AXI = "xilinx.com:interface:aximm:1.0"

Module = dict[str, ElementTree.Element]
"""The parts of a module by tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocking:
    """Clocks of a Zynq UltraScale+ board.

    Attributes
    ----------
    source
        PLL of the PL clocks: ``IOPLL`` or ``RPLL``.
    pl_pll, cpu_pll
        Multipliers of `REFERENCE_MHZ`, of that PLL and the CPU's; the CPU runs at half its PLL.
    divisor
        Of PL clock 0.
    """

    source: str
    pl_pll: int
    cpu_pll: int
    divisor: int

    @property
    def mhz(self) -> float:
        """PL clock 0."""
        return REFERENCE_MHZ * self.pl_pll / self.divisor


def registers() -> dict[str, dict[str, object]]:
    """Return the registers as PYNQ's ``ip_dict`` has them."""
    return {
        register.name: {
            "address_offset": register.offset,
            "size": 32,
            "access": _ACCESS[register.access],
            "description": register.meaning,
            "fields": {
                field.name: {
                    "bit_offset": field.lsb,
                    "bit_width": field.width,
                    "access": _ACCESS[register.access],
                    "description": field.meaning,
                }
                for field in register.fields
            },
        }
        for register in REGISTERS
    }


def _child(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _properties(parent: ElementTree.Element, **values: str | int) -> None:
    for name, value in values.items():
        _child(parent, "PROPERTY", NAME=name, VALUE=str(value))


def _register(parent: ElementTree.Element, register: Register) -> None:
    node = _child(parent, "REGISTER", NAME=register.name)
    access = _ACCESS[register.access]
    _properties(
        node,
        DESCRIPTION=register.meaning,
        ADDRESS_OFFSET=hex(register.offset),
        SIZE=32,
        ACCESS=access,
        IS_ENABLED="true",
        RESET_VALUE=hex(register.reset),
    )
    fields = _child(node, "FIELDS")
    for field in register.fields:
        _properties(
            _child(fields, "FIELD", NAME=field.name),
            DESCRIPTION=field.meaning,
            ACCESS=access,
            BIT_OFFSET=field.lsb,
            BIT_WIDTH=field.width,
        )


def _module(parent: ElementTree.Element, instance: str, vlnv: str, **more: str) -> Module:
    """Return the parts of a new module by their tag."""
    _, _, kind, version = vlnv.split(":")
    node = _child(
        parent,
        "MODULE",
        FULLNAME=f"/{instance}",
        HWVERSION=version,
        INSTANCE=instance,
        IPTYPE="PERIPHERAL",
        IS_ENABLE="1",
        MODCLASS="PERIPHERAL",
        MODTYPE=kind,
        VLNV=vlnv,
        **more,
    )
    tags = ("ADDRESSBLOCKS", "PARAMETERS", "PORTS", "BUSINTERFACES", "MEMORYMAP")
    return {tag: _child(node, tag) for tag in tags}


def _bus(module: Module, name: str, master: bool, to: tuple[str, str]) -> None:
    """Add an AXI interface with one signal, which is what joins it to the other end."""
    kind, direction, port = ("MASTER", "O", f"{name}_araddr")
    if not master:
        kind, direction = "SLAVE", "I"
    wire = _child(module["PORTS"], "PORT", DIR=direction, NAME=port, LEFT="11", RIGHT="0")
    _child(_child(wire, "CONNECTIONS"), "CONNECTION", INSTANCE=to[0], PORT=to[1])
    node = _child(module["BUSINTERFACES"], "BUSINTERFACE", NAME=name, TYPE=kind, VLNV=_AXI)
    _child(_child(node, "PORTMAPS"), "PORTMAP", LOGICAL="ARADDR", PHYSICAL=port)


def _interrupt(module: Module, name: str, output: bool, to: tuple[str, str]) -> None:
    wire = _child(module["PORTS"], "PORT", DIR="O" if output else "I", NAME=name, SIGIS="INTERRUPT")
    _child(_child(wire, "CONNECTIONS"), "CONNECTION", INSTANCE=to[0], PORT=to[1])


def _processor(modules: ElementTree.Element, clocking: Clocking) -> None:
    ps = _module(modules, "ps", "xilinx.com:ip:zynq_ultra_ps_e:3.4", IS_PL="FALSE")
    values: dict[str, str] = {"C_MAXIGP0_DATA_WIDTH": "128", "C_SAXIGP2_DATA_WIDTH": "128"}
    for index in range(4):
        clock = f"PSU__CRL_APB__PL{index}_REF_CTRL"
        values |= {
            f"PSU__FPGA_PL{index}_ENABLE": str(int(index == 0)),
            f"{clock}__SRCSEL": clocking.source,
            f"{clock}__DIVISOR0": str(clocking.divisor),
            f"{clock}__DIVISOR1": "1",
            f"{clock}__ACT_FREQMHZ": f"{clocking.mhz:.6f}",
        }
    for name, value in values.items():
        _child(ps["PARAMETERS"], "PARAMETER", NAME=name, VALUE=value)
    _bus(ps, "M_AXI_HPM0_FPD", True, ("accelerator", "s_axil_araddr"))
    _interrupt(ps, "pl_ps_irq0", False, ("interrupts", "irq"))
    for instance, interface, base, size in (
        ("accelerator", "s_axil", ACCELERATOR_BASE, ACCELERATOR_BYTES),
        ("interrupts", "s_axi", INTERRUPTS_BASE, INTERRUPTS_BYTES),
    ):
        _child(
            ps["MEMORYMAP"],
            "MEMRANGE",
            ADDRESSBLOCK="reg0",
            BASEVALUE=f"0x{base:010X}",
            HIGHVALUE=f"0x{base + size - 1:010X}",
            INSTANCE=instance,
            MASTERBUSINTERFACE="M_AXI_HPM0_FPD",
            MEMTYPE="REGISTER",
            SLAVEBUSINTERFACE=interface,
        )


def handoff(board: str, part: str, clocking: Clocking) -> str:
    """Return the text of the .hwh of a Zynq UltraScale+ board.

    Parameters
    ----------
    part
        E.g. ``xczu3eg-sbva484-1``.
    """
    device, package, grade = part.split("-")[:3]
    root = ElementTree.Element(
        "EDKSYSTEM",
        EDWVERSION="1.2",
        TIMESTAMP="generated by python -m heterolith.hw.overlay",
        VIVADOVERSION="none: simulated device",
    )
    _child(
        root,
        "SYSTEMINFO",
        ARCH="zynquplus",
        BOARD=board,
        DEVICE=device,
        NAME="system",
        PACKAGE=package,
        SPEEDGRADE=f"-{grade}",
    )
    _child(root, "EXTERNALPORTS")
    _child(root, "EXTERNALINTERFACES")
    modules = _child(root, "MODULES")
    core = _module(modules, "accelerator", VLNV)
    block = _child(
        core["ADDRESSBLOCKS"],
        "ADDRESSBLOCK",
        ACCESS="read-write",
        INTERFACE="s_axil",
        NAME="reg0",
        RANGE=str(ACCELERATOR_BYTES),
        USAGE="register",
    )
    described = _child(block, "REGISTERS")
    for register in REGISTERS:
        _register(described, register)
    _bus(core, "s_axil", False, ("ps", "M_AXI_HPM0_FPD_araddr"))
    _interrupt(core, "irq", True, ("interrupts", "intr"))
    controller = _module(modules, "interrupts", "xilinx.com:ip:axi_intc:4.1")
    _bus(controller, "s_axi", False, ("ps", "M_AXI_HPM0_FPD_araddr"))
    _interrupt(controller, "intr", False, ("accelerator", "irq"))
    _interrupt(controller, "irq", True, ("ps", "pl_ps_irq0"))
    _processor(modules, clocking)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
