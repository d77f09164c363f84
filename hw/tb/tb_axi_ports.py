"""Testbench of ``axi_reader`` and ``axi_writer`` against a memory of cocotbext-axi that pauses.

The memory asserts the bus rules: WLAST on the last beat, no burst across 4 KB. Bursts are cut as
the core cuts them, at multiples of 16 beats.
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from cocotbext.axi import AxiBus, AxiRam, AxiResp  # type: ignore[import-untyped]

from heterolith.hw.commands import ErrorCode

Dut = Any  # a handle has the attributes of its design

BEAT = 8
BASE = 0x3000
SIZE = 2**16
COMMAND_BEATS = 64 // BEAT


@dataclass(frozen=True)
class Burst:
    """A burst of one requester: position in the window and size in beats."""

    beat: int
    beats: int
    last: bool
    index: int

    @property
    def bits(self) -> int:
        """The packed ``burst_t``."""
        head = BEAT * self.beat << 37 | (self.beats - 1) << 33
        return head | self.last << 32 | self.index

    @property
    def place(self) -> slice:
        """Its bytes in memory."""
        start = BASE + BEAT * self.beat
        return slice(start, start + BEAT * self.beats)


def cut(beat: int, beats: int, index: int) -> list[Burst]:
    """Return the bursts of a run, none across a multiple of 16 beats."""
    bursts = []
    while beats:
        size = min(beats, 16 - beat % 16)
        bursts.append(Burst(beat, size, size == beats, index))
        beat, beats = beat + size, beats - size
    return bursts


def runs(chance: random.Random, count: int) -> deque[Burst]:
    """Return the bursts of ``count`` runs of 1 to 40 beats, the first across 4 KB."""
    bursts = cut(4096 // BEAT - 7, 20, 100)
    for index in range(101, 100 + count):
        beats = chance.randint(1, 40)
        bursts += cut(chance.randint(0, 6000 - beats), beats, index)
    return deque(bursts)


class Bench:
    """Clock, memory, offers of the requesters, and what the memory is to hold."""

    def __init__(self, dut: Dut, pause: int, seed: int = 0) -> None:
        self.dut, self.pause = dut, pause
        self.chance = random.Random(seed)
        self.offers: dict[str, Burst] = {}
        Clock(dut.clk_i, 10, unit="ns").start()
        bus = AxiBus.from_prefix(dut, "m_axi")
        self.ram = AxiRam(bus, dut.clk_i, dut.rst_ni, reset_active_level=False, size=SIZE)
        self.expected = bytearray(self.chance.randbytes(SIZE))
        self.ram.write(0, bytes(self.expected))
        reads, writes = self.ram.read_if, self.ram.write_if
        reads.ar_channel.queue_occupancy_limit = writes.aw_channel.queue_occupancy_limit = 32
        channels = (reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel)
        for channel in (*channels, writes.b_channel):
            if pause:
                channel.set_pause_generator(self.pauses())

    def pauses(self) -> Iterator[bool]:
        """Yield single stalls and now and then a long one."""
        while True:
            long = self.chance.randrange(60) == 0
            stalled = long or self.chance.randrange(100) < self.pause
            for _ in range(self.chance.randint(20, 150) if long else 1):
                yield stalled

    def lucky(self) -> bool:
        """Return whether a requester acts in this cycle."""
        return self.chance.randrange(100) >= self.pause

    def rest(self) -> None:
        """Withdraw every offer and let the ports run."""
        self.offers.clear()
        for name in ("stop", "fetch_valid", "load_valid", "store_valid", "data_valid"):
            getattr(self.dut, f"{name}_i").value = 0

    async def reset(self) -> None:
        """Hold reset with idle inputs."""
        self.rest()
        self.dut.load_beat_ready_i.value = 0
        self.dut.window_base_i.value = BASE
        self.dut.rst_ni.value = 0
        for _ in range(4):
            await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    def offer(self, name: str, queue: deque[Burst]) -> None:
        """Offer a requester's next burst, now or later; an offer stands until it is taken."""
        if name not in self.offers and queue and self.lucky():
            self.offers[name] = queue.popleft()
            getattr(self.dut, f"{name}_i").value = self.offers[name].bits
        getattr(self.dut, f"{name}_valid_i").value = name in self.offers

    def taken(self, name: str) -> Burst | None:
        """Return a requester's burst if it is taken at the coming edge."""
        if name in self.offers and getattr(self.dut, f"{name}_ready_o").value:
            return self.offers.pop(name)
        return None

    def fail(self, burst: Burst, response: AxiResp) -> None:
        """Answer one burst with an error from now on."""

        async def refuse(address: int, _: object) -> bytes:
            if address in range(burst.place.start, burst.place.stop):
                raise ValueError
            return bytes(self.expected[address : address + BEAT])

        reads, writes = self.ram.read_if, self.ram.write_if
        reads._read = writes._write = refuse
        for channel, field in ((reads.r_channel, "rresp"), (writes.b_channel, "bresp")):
            channel.send = answering(channel.send, field, response)


def answering(
    send: Callable[[object], Awaitable[None]], field: str, response: AxiResp
) -> Callable[[object], Awaitable[None]]:
    """Return a channel's ``send`` with its errors turned into ``response``."""

    async def answer(beat: object) -> None:
        if getattr(beat, field) != AxiResp.OKAY:
            setattr(beat, field, response)
        await send(beat)

    return answer


def fault(bits: int) -> tuple[int, int] | None:
    """Return (code, index) of a ``fault_t``, or None."""
    return (bits >> 32 & 15, bits & 0xFFFFFFFF) if bits >> 36 else None


Fault = tuple[int, int]


async def read(
    bench: Bench, queues: dict[str, deque[Burst]], stop_after: int | None = None
) -> list[Fault]:
    """Run the bursts of both requesters and compare their beats; returns faults.

    From ``stop_after`` cycles on the reader is told to stop; the run then ends when it is quiet.
    """
    dut, faults, cycle = bench.dut, list[Fault](), 0
    granted: list[tuple[str, Burst]] = []
    addressed = ended = beat = 0
    while True:
        await FallingEdge(dut.clk_i)
        stopped = stop_after is not None and cycle >= stop_after
        waiting = any(queues.values()) or bench.offers
        if ended == len(granted) and (stopped or not waiting):
            break
        cycle += 1
        for name, queue in queues.items():
            bench.offer(name, queue)
        dut.stop_i.value = stopped
        dut.load_beat_ready_i.value = bench.lucky()
        await ReadOnly()
        new = [(name, bench.taken(name)) for name in queues]
        grants = [(name, burst) for name, burst in new if burst is not None]
        assert len(grants) <= (0 if stopped else 1)
        assert not (grants and grants[0][0] == "load" and "fetch" in bench.offers)
        assert len(granted) - ended <= 16
        assert bool(dut.read_quiet_o.value) == (ended == len(granted))
        if dut.m_axi_arvalid.value and dut.m_axi_arready.value:
            burst = granted[addressed][1]
            assert int(dut.m_axi_araddr.value) == burst.place.start
            assert int(dut.m_axi_arlen.value) == burst.beats - 1
            addressed += 1
        if dut.read_beat_o.value:
            name, burst = granted[ended]
            assert int(dut.read_oldest_o.value) == burst.index
            to = (bool(dut.fetch_beat_o.value), bool(dut.load_beat_o.value))
            assert to == (name == "fetch" and not stopped, name == "load" and not stopped)
            found = fault(int(dut.read_fault_o.value))
            if found:
                faults.append(found)
            else:
                place = burst.place.start + BEAT * beat
                word = int(dut.read_data_o.value).to_bytes(BEAT, "little")
                assert word == bench.expected[place : place + BEAT]
            beat += 1
            if dut.m_axi_rlast.value:
                assert beat == burst.beats
                ended, beat = ended + 1, 0
        granted += grants
    bench.rest()
    return faults


async def write(
    bench: Bench, queue: deque[Burst], stop_after: int | None = None
) -> tuple[list[int], list[Fault]]:
    """Run bursts with random data; returns the commands reported done and the faults.

    Words that the writer takes are noted in ``bench.expected``. ``stop_after`` as in `read`.
    """
    dut, done, faults = bench.dut, list[int](), list[Fault]()
    granted: list[Burst] = []
    places: deque[int] = deque()  # of words whose burst is granted
    word: bytes | None = None
    answered = cycle = 0
    while True:
        await FallingEdge(dut.clk_i)
        stopped = stop_after is not None and cycle >= stop_after
        if answered == len(granted) and (stopped or not (queue or bench.offers)):
            break
        cycle += 1
        bench.offer("store", queue)
        dut.stop_i.value = stopped
        if word is None and bench.lucky():
            word = bench.chance.randbytes(BEAT)
            dut.data_i.value = int.from_bytes(word, "little")
        dut.data_valid_i.value = word is not None
        await ReadOnly()
        burst = bench.taken("store")
        assert not (burst and stopped)
        assert len(granted) - answered <= 8
        assert bool(dut.write_quiet_o.value) == (answered == len(granted))
        if word is not None and dut.data_ready_o.value:
            place = places.popleft()
            bench.expected[place : place + BEAT] = word
            word = None
        if dut.response_o.value:
            first = granted[answered]
            assert int(dut.write_oldest_o.value) == first.index
            assert bool(dut.done_o.value) == (first.last and not stopped)
            found = fault(int(dut.write_fault_o.value))
            faults += [found] if found else []
            done += [first.index] if dut.done_o.value else []
            answered += 1
        if burst:
            granted.append(burst)
            places += range(burst.place.start, burst.place.stop, BEAT)
    bench.rest()
    return done, faults


def held(bench: Bench) -> bytes:
    """Return the memory's content."""
    content: bytes = bench.ram.read(0, SIZE)
    return content


@cocotb.test()
@cocotb.parametrize(pause=[0, 30, 80])
async def reads_come_back_in_order(dut: Dut, pause: int) -> None:
    """Beats of two requesters, at any mix of stalls, are those of their bursts, fetch first."""
    bench = Bench(dut, pause)
    await bench.reset()
    queues = {"fetch": runs(bench.chance, 15), "load": runs(bench.chance, 30)}
    assert await read(bench, queues) == []


@cocotb.test()
@cocotb.parametrize(pause=[0, 30, 80])
async def writes_arrive(dut: Dut, pause: int) -> None:
    """Each word is where its burst says, nothing else changes, commands are done in order."""
    bench = Bench(dut, pause)
    await bench.reset()
    queue = runs(bench.chance, 30)
    last = [burst.index for burst in queue if burst.last]
    assert await write(bench, queue) == (last, [])
    assert held(bench) == bench.expected


@cocotb.test()
@cocotb.parametrize(code=["SLVERR", "DECERR"], name=["fetch", "load"])
async def a_failed_read_names_its_command(dut: Dut, code: str, name: str) -> None:
    """Each beat of a burst that fails reports the code and the command that the beat is of."""
    bench = Bench(dut, 30)
    await bench.reset()
    queue = deque([Burst(0, 16, False, 0), Burst(16, 16, False, 2), Burst(32, 8, True, 4)])
    bench.fail(queue[1], AxiResp[code])
    faults = await read(bench, {"fetch": deque(), "load": deque(), name: queue})
    commands = [2 + (beat // COMMAND_BEATS if name == "fetch" else 0) for beat in range(16)]
    assert faults == [(ErrorCode[f"READ_{code}"], index) for index in commands]


@cocotb.test()
@cocotb.parametrize(code=["SLVERR", "DECERR"])
async def a_failed_write_names_its_command(dut: Dut, code: str) -> None:
    """The response of a burst that fails reports the code and its command, once."""
    bench = Bench(dut, 30)
    await bench.reset()
    queue = deque([Burst(0, 16, True, 5), Burst(16, 3, True, 6), Burst(32, 8, True, 7)])
    bench.fail(queue[1], AxiResp[code])
    _, faults = await write(bench, queue)
    assert faults == [(ErrorCode[f"WRITE_{code}"], 6)]


@cocotb.test()
async def stop_drops_reads_and_the_next_ones_are_right(dut: Dut) -> None:
    """Told to stop at any cycle, the reader takes what it asked for, hands on nothing, is quiet."""
    bench = Bench(dut, 30)
    await bench.reset()
    for cycles in bench.chance.sample(range(300), 12):
        queues = {"fetch": runs(bench.chance, 3), "load": runs(bench.chance, 10)}
        await read(bench, queues, cycles)
    assert await read(bench, {"fetch": runs(bench.chance, 5), "load": deque()}) == []


@cocotb.test()
async def stop_ends_writes_without_touching_memory(dut: Dut) -> None:
    """Told to stop at any cycle, the writer ends its bursts; only words taken before are kept."""
    bench = Bench(dut, 30)
    await bench.reset()
    for cycles in bench.chance.sample(range(300), 12):
        await write(bench, runs(bench.chance, 10), cycles)
        assert held(bench) == bench.expected
    done, faults = await write(bench, runs(bench.chance, 5))
    assert (len(done), faults) == (5, [])
    assert held(bench) == bench.expected


@cocotb.test()
async def reset_in_mid_burst(dut: Dut) -> None:
    """After a hardware reset with bursts open, reads are right and nothing is owed."""
    bench = Bench(dut, 30)
    await bench.reset()
    for name in ("fetch", "load"):
        bench.offer(name, deque([Burst(0, 16, True, 1)]))
    for _ in range(bench.chance.randint(5, 15)):
        await FallingEdge(dut.clk_i)
    await bench.reset()
    assert await read(bench, {"fetch": runs(bench.chance, 3), "load": deque()}) == []
    done, _ = await write(bench, runs(bench.chance, 3))
    assert len(done) == 3
    assert held(bench) == bench.expected
