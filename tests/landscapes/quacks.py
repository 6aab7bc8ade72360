"""What quacks like torch: as much of modules and tensors as `from_torch` looks at, so that its tests need no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


class Tensor:
    def __init__(self, array: Any, requires_grad: bool = True) -> None:
        self.array, self.requires_grad = np.asarray(array), requires_grad

    @property
    def dtype(self) -> str:
        return f"torch.{self.array.dtype}"

    def detach(self) -> Tensor:
        return Tensor(self.array, False)

    def cpu(self) -> Tensor:
        return self

    def double(self) -> Tensor:
        return Tensor(self.array.astype(np.float64), False)

    def numpy(self) -> Any:
        assert not self.requires_grad, "torch refuses this too"
        return self.array

    def new_tensor(self, values: Any) -> Tensor:
        return Tensor(np.asarray(values, dtype=self.array.dtype), False)

    def requires_grad_(self, on: bool) -> Tensor:
        self.requires_grad = on
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.requires_grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.array if dtype is None else self.array.astype(dtype)


class Module:
    def __init__(self) -> None:
        self.parts: dict[str, Module] = {}
        self.own: dict[str, Tensor] = {}

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, part in self.parts.items():
            yield from part.named_modules(f"{prefix}.{name}" if prefix else name)

    def state_dict(self, keep_vars: bool = False, prefix: str = "") -> dict[str, Tensor]:
        found = {prefix + name: tensor if keep_vars else tensor.detach() for name, tensor in self.own.items()}
        for name, part in self.parts.items():
            found |= part.state_dict(keep_vars, f"{prefix}{name}.")
        return found

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        seen: list[int] = []
        for name, tensor in self.state_dict(keep_vars=True).items():
            if id(tensor) not in seen:
                seen.append(id(tensor))
                yield name, tensor

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class Linear(Module):
    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        rng = np.random.default_rng(in_features + 10 * out_features)
        self.weight = Tensor(rng.normal(size=(out_features, in_features)).astype(np.float32))
        self.bias = Tensor(np.zeros(out_features, dtype=np.float32)) if bias else None
        self.own = {"weight": self.weight} | ({"bias": self.bias} if self.bias is not None else {})

    def __call__(self, x: Tensor) -> Tensor:
        return Tensor(x.array @ self.weight.array.T + (0 if self.bias is None else self.bias.array))


class Sequential(Module):
    def __init__(self, *parts: Module) -> None:
        super().__init__()
        self.parts = {str(k): part for k, part in enumerate(parts)}

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(x)
        return x


class Identity(Module):
    def __call__(self, x: Tensor) -> Tensor:
        return x


class ReLU(Module):
    def __call__(self, x: Tensor) -> Tensor:
        return Tensor(np.maximum(x.array, 0))


class Conv2d(Module):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, bias: bool = True) -> None:
        super().__init__()
        self.own = {"weight": Tensor(np.ones((out_channels, in_channels, kernel_size, kernel_size)))}


class BatchNorm1d(Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.own = {"weight": Tensor(np.ones(features)), "bias": Tensor(np.zeros(features))}
