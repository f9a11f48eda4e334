"""A Modbus TCP server made of pymodbus: the devices that the interop tests read and set.

Reads one JSON object from stdin, prints `READY <port>` and serves until stdin closes, printing `CONNECTED` and
`CLOSED` as clients come and go:

    {"units": [{"unit": 1, "input": {"0": [17254, 6554]}, "holding": {"64512": [1]}, "coils": [false, true]}]}

Each table maps a start address to register values. A register that a meter's owner may only read is still
changed by somebody: writing holding register DOOR + n of a unit sets its input register n.
"""

import asyncio
import json
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

DOOR = 0x4000
READ_INPUT, WRITE_REGISTERS = 4, 16


def block(table):
    """SimData for `{address: [values]}`; pymodbus wants at least one entry, so an empty table gets one far away."""
    rows = [
        SimData(int(address), values=list(values), datatype=DataType.REGISTERS)
        for address, values in sorted(table.items(), key=lambda row: int(row[0]))
    ]
    return rows or [SimData(65535, values=[0], datatype=DataType.REGISTERS)]


def device(spec):
    changed = {}

    async def action(function, start, address, count, registers, values):
        if function == WRITE_REGISTERS and address >= DOOR and values:
            for offset, value in enumerate(values):
                changed[address - DOOR + offset] = value
        if function == READ_INPUT:
            for register in range(address, address + count):
                if register in changed:
                    registers[register - start] = changed[register]
        return None

    inputs, holding = spec.get("input", {}), dict(spec.get("holding", {}))
    if inputs:
        top = max(int(address) + len(values) for address, values in inputs.items())
        holding[str(DOOR)] = [0] * top
    coils = spec.get("coils") or [False]
    coils += [False] * (-len(coils) % 16)
    bits = [SimData(0, values=coils, datatype=DataType.BITS)]
    return SimDevice(
        id=spec["unit"],
        simdata=(bits, [SimData(0, values=[False] * 16, datatype=DataType.BITS)], block(holding), block(inputs)),
        action=action,
    )


async def main():
    spec = json.loads(sys.stdin.readline())
    server = ModbusTcpServer(
        [device(unit) for unit in spec["units"]],
        framer=FramerType.SOCKET,
        address=("127.0.0.1", 0),
        trace_connect=lambda connected: print("CONNECTED" if connected else "CLOSED", flush=True),
    )
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    print(f"READY {port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # the test closes our stdin when done
    await server.shutdown()


asyncio.run(main())
