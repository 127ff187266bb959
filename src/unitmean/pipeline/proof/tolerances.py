"""What a proof allows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerances:
    """What a proof allows; see `Verify` in the schema."""

    max_float64_difference: float
    max_float32_ratio: float
    max_mean_ratio: float
    max_mean_error: float
    min_top1_agreement: float
