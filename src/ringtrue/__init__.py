"""Does this voice ring true? Recordings in -> calibrated verdicts, honest figures and the models behind them."""

__version__ = "0.1.0"
