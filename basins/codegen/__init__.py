"""Generation of vector code: written as LLVM IR and compiled in the process."""
