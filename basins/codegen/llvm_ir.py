"""A small writer of LLVM IR: one vector holds one number of every lane, and functions are written line by line.

A `Pointer` is a base and an offset in whole vectors. Loops take a body that maps (index, carried values) to new carried
values; unrolled or kept as a loop, the same body does the same arithmetic in the same order. Multiply-adds are explicit
llvm.fma calls and nothing has a fast-math flag, so no compiler may round differently.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

Index = int | str
Body = Callable[[Index, list[str]], list[str]]


class Pointer(NamedTuple):
    """An address: SSA name of the base, offset in vectors, and whether it holds one number for all lanes."""

    base: str
    at: int = 0
    shared: bool = False

    def __add__(self, vectors: object) -> Pointer:
        assert isinstance(vectors, int)
        return self._replace(at=self.at + vectors)


class Function:
    """One function void(ptr, ...) under construction; every pointer argument is noalias."""

    def __init__(self, name: str, arguments: Sequence[str], lanes: int, internal: bool = False) -> None:
        self.name, self.lanes, self.internal = name, lanes, internal
        self.arguments = tuple(arguments)
        self.vector = f"<{lanes} x double>"
        self.lines: list[str] = ["entry:"]
        self.block, self.count = "entry", 0

    def __getitem__(self, argument: str) -> Pointer:
        assert argument in self.arguments
        return Pointer(f"%{argument}")

    # --- values ---------------------------------------------------------------------------------------------------

    def let(self, instruction: str) -> str:
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def constant(self, value: float) -> str:
        word = f"0x{struct.unpack('>Q', struct.pack('>d', value))[0]:016X}"
        return "<" + ", ".join([f"double {word}"] * self.lanes) + ">"

    def fma(self, a: str, b: str, c: str) -> str:
        v = self.vector
        return self.let(f"call {v} @llvm.fma.v{self.lanes}f64({v} {a}, {v} {b}, {v} {c})")

    def sqrt(self, a: str) -> str:
        return self.let(f"call {self.vector} @llvm.sqrt.v{self.lanes}f64({self.vector} {a})")

    def abs(self, a: str) -> str:
        return self.let(f"call {self.vector} @llvm.fabs.v{self.lanes}f64({self.vector} {a})")

    def negate(self, a: str) -> str:
        return self.let(f"fneg {self.vector} {a}")

    def add(self, a: str, b: str) -> str:
        return self.let(f"fadd {self.vector} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        return self.let(f"fsub {self.vector} {a}, {b}")

    def mul(self, a: str, b: str) -> str:
        return self.let(f"fmul {self.vector} {a}, {b}")

    def div(self, a: str, b: str) -> str:
        return self.let(f"fdiv {self.vector} {a}, {b}")

    def larger(self, a: str, b: str) -> str:
        """a if a > b, otherwise b, in each lane."""
        test = self.let(f"fcmp ogt {self.vector} {a}, {b}")
        return self.let(f"select <{self.lanes} x i1> {test}, {self.vector} {a}, {self.vector} {b}")

    def where_zero(self, test: str, a: str, b: str) -> str:
        """a if test = 0, otherwise b, in each lane."""
        zero = self.let(f"fcmp oeq {self.vector} {test}, {self.constant(0.0)}")
        return self.let(f"select <{self.lanes} x i1> {zero}, {self.vector} {a}, {self.vector} {b}")

    # --- memory ---------------------------------------------------------------------------------------------------

    def shift(self, pointer: Pointer, index: Index, stride: int) -> Pointer:
        """The pointer advanced by `index` times `stride` elements."""
        if isinstance(index, int):
            return pointer + index * stride
        if stride != 1:
            index = self.let(f"mul nuw nsw i64 {index}, {stride}")
        kind = "double" if pointer.shared else self.vector
        return pointer._replace(base=self.let(f"getelementptr inbounds {kind}, ptr {pointer.base}, i64 {index}"))

    def address(self, pointer: Pointer) -> str:
        if pointer.at == 0:
            return pointer.base
        kind = "double" if pointer.shared else self.vector
        return self.let(f"getelementptr inbounds {kind}, ptr {pointer.base}, i64 {pointer.at}")

    def load(self, pointer: Pointer) -> str:
        where = self.address(pointer)
        if not pointer.shared:
            return self.let(f"load {self.vector}, ptr {where}, align {8 * self.lanes}")
        number = self.let(f"load double, ptr {where}, align 8")
        one = self.let(f"insertelement {self.vector} poison, double {number}, i32 0")
        return self.let(
            f"shufflevector {self.vector} {one}, {self.vector} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def store(self, value: str, pointer: Pointer) -> None:
        where = self.address(pointer)
        self.lines.append(f"  store {self.vector} {value}, ptr {where}, align {8 * self.lanes}")

    # --- control --------------------------------------------------------------------------------------------------

    def loop(self, count: int, carried: Sequence[str], body: Body, unroll: bool = False) -> list[str]:
        """Execute body(i, carried) for i = 0 ... count - 1. Returns the carried values at the end."""
        values = list(carried)
        if unroll or count <= 1:
            for i in range(count):
                values = body(i, values)
            return values
        self.count += 1
        tag, before = f"loop{self.count}", self.block
        self.lines += [f"  br label %{tag}", f"{tag}:"]
        self.block = tag
        at = len(self.lines)
        phis = [f"%{tag}.{k}" for k in range(len(values))]
        new = body(f"%{tag}.i", phis)
        heads = [f"  %{tag}.i = phi i64 [0, %{before}], [%{tag}.next, %{self.block}]"]
        for phi, first, last in zip(phis, values, new, strict=True):
            heads.append(f"  {phi} = phi {self.vector} [{first}, %{before}], [{last}, %{self.block}]")
        self.lines[at:at] = heads
        self.lines += [
            f"  %{tag}.next = add nuw nsw i64 %{tag}.i, 1",
            f"  %{tag}.more = icmp ult i64 %{tag}.next, {count}",
            f"  br i1 %{tag}.more, label %{tag}, label %{tag}.end",
            f"{tag}.end:",
        ]
        self.block = f"{tag}.end"
        return new

    def call(self, function: Function, *pointers: Pointer) -> None:
        arguments = ", ".join(f"ptr {self.address(p)}" for p in pointers)
        self.lines.append(f"  call void @{function.name}({arguments})")

    def text(self) -> str:
        """The function's IR."""
        arguments = ", ".join(f"ptr noalias %{a}" for a in self.arguments)
        linkage = "internal " if self.internal else ""
        # If the CPU has registers as wide as a vector of lanes, LLVM must be told to use them; otherwise it splits
        # them.
        head = f'define {linkage}void @{self.name}({arguments}) noinline nounwind "prefer-vector-width"="512"'
        return "\n".join([head + " {", *self.lines, "  ret void", "}", ""])


def module(functions: Sequence[Function], lanes: int) -> str:
    """The IR of a module of functions."""
    v = f"<{lanes} x double>"
    declarations = [
        f"declare {v} @llvm.fma.v{lanes}f64({v}, {v}, {v})",
        f"declare {v} @llvm.sqrt.v{lanes}f64({v})",
        f"declare {v} @llvm.fabs.v{lanes}f64({v})",
    ]
    return "\n".join([f.text() for f in functions] + declarations) + "\n"
