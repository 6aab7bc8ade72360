"""Just-in-time compilation of LLVM IR for this CPU, or for a named one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm


def target_machine(cpu: str | None = None, features: str | None = None, triple: str | None = None) -> Any:
    """LLVM's target machine for this CPU, or for the named one. Raises RuntimeError if LLVM has no such target."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    target = llvm.Target.from_triple(triple or llvm.get_process_triple())
    if cpu is None:
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(
        cpu=cpu, features=features or "", opt=2, jit=triple is None, codemodel="default"
    )


def parsed(text: str, machine: Any) -> Any:
    """The verified module of an IR text, without optimisation passes.

    LLVM's module passes do not run. They would notice that a product reads what the previous one stored, keep
    everything in registers, run out of them and spill (measured: half the speed). Only instruction selection and
    scheduling remain.
    """
    ir = llvm.parse_assembly(text)
    ir.triple = machine.triple
    ir.verify()
    return ir


def load(text: str, names: Sequence[str], cpu: str | None = None, features: str | None = None) -> tuple[Any, list[int]]:
    """Compile an IR text for this CPU, or for a named one whose code it can run. Returns the execution engine and the
    addresses of the functions, which are valid as long as the engine lives.
    """
    machine = target_machine(cpu, features)
    engine = llvm.create_mcjit_compiler(parsed(text, machine), machine)
    engine.finalize_object()
    return engine, [engine.get_function_address(name) for name in names]
