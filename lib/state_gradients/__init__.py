"""State gradients: what a recurrent network still holds of an input, tau steps on."""

__version__ = "0.1.0"
