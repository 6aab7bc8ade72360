"""How a state moves: the gradient flow, or a discrete dynamics that takes steps. base.py is the contract."""
