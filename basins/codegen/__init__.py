"""Vector code: written as LLVM IR, compiled in the process."""
