"""Which instruction of a pickle is which step of the machine, and the machine's run through them."""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Callable
from typing import Any

from genept.core.pickles._machine import Machine

BY_NAME: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: Machine.protocol,
    pickle.FRAME: Machine.frame,
    # numbers
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(m.number("<i")),
    pickle.BININT1: lambda m: m.push(m.byte()),
    pickle.BININT2: lambda m: m.push(m.number("<H")),
    pickle.LONG1: lambda m: m.push(m.integer("<B")),
    pickle.LONG4: lambda m: m.push(m.integer("<i")),
    pickle.INT: lambda m: m.push(m.decimal()),
    pickle.LONG: lambda m: m.push(m.decimal()),
    pickle.BINFLOAT: Machine.floats,
    pickle.FLOAT: lambda m: m.push(float(m.line())),
    # text and bytes
    pickle.SHORT_BINUNICODE: lambda m: m.push(m.text(m.byte())),
    pickle.BINUNICODE: lambda m: m.push(m.text(m.number("<I"))),
    pickle.BINUNICODE8: lambda m: m.push(m.text(m.number("<Q"))),
    pickle.UNICODE: lambda m: m.push(m.line()),
    pickle.SHORT_BINSTRING: lambda m: m.push(str(m.take(m.byte()), "ascii")),
    pickle.BINSTRING: lambda m: m.push(str(m.sized("<i"), "ascii")),
    pickle.STRING: lambda m: m.push(m.literal()),
    pickle.SHORT_BINBYTES: lambda m: m.push(m.take(m.byte())),
    pickle.BINBYTES: lambda m: m.push(m.sized("<I")),
    pickle.BINBYTES8: lambda m: m.push(m.sized("<Q")),
    pickle.BYTEARRAY8: lambda m: m.push(m.sized("<Q")),
    # containers
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.push(m.pop(1)),
    pickle.TUPLE2: lambda m: m.push(m.pop(2)),
    pickle.TUPLE3: lambda m: m.push(m.pop(3)),
    pickle.TUPLE: lambda m: m.push(tuple(m.to_mark())),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.LIST: lambda m: m.push(m.to_mark()),
    pickle.APPEND: lambda m: m.append(list(m.pop(1))),
    pickle.APPENDS: lambda m: m.append(m.to_mark()),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.DICT: Machine.make_dict,
    pickle.SETITEM: lambda m: m.put(list(m.pop(2))),
    pickle.SETITEMS: lambda m: m.put(m.to_mark()),
    # the stack and its memo
    pickle.MARK: Machine.mark,
    pickle.POP: Machine.drop,
    pickle.POP_MARK: Machine.drop_to_mark,
    pickle.DUP: lambda m: m.push(m.top()),
    pickle.PUT: lambda m: m.remember(m.decimal()),
    pickle.BINPUT: lambda m: m.remember(m.byte()),
    pickle.LONG_BINPUT: lambda m: m.remember(m.number("<I")),
    pickle.MEMOIZE: lambda m: m.remember(m.n_memo),
    pickle.GET: lambda m: m.recall(m.decimal()),
    pickle.BINGET: lambda m: m.recall_function(m.position - 1, m.byte()),
    pickle.LONG_BINGET: lambda m: m.recall_function(m.position - 1, m.number("<I")),
    # functions
    pickle.GLOBAL: lambda m: m.ask(m.line(), m.line()),
    pickle.INST: lambda m: m.refuse_import(m.line(), m.line()),
    pickle.STACK_GLOBAL: lambda m: m.ask(*m.pop(2)),
    pickle.REDUCE: Machine.call,
    pickle.BUILD: Machine.build,
}
INSTRUCTIONS = {name[0]: instruction for name, instruction in BY_NAME.items()}
OTHERS = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes if ord(opcode.code) not in INSTRUCTIONS}


def run(machine: Machine) -> Any:
    """Run to the end and return the content, checked."""
    while (code := machine.byte()) != pickle.STOP[0]:
        if code in INSTRUCTIONS:
            INSTRUCTIONS[code](machine)
        elif name := OTHERS.get(code):
            machine.refuse(f"uses the instruction {name}")
        else:
            raise ValueError(f"no instruction {code}")
    (content,) = machine.pop(1)
    machine.check(content)
    return content
