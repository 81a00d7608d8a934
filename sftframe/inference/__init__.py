"""What a model answers to test examples, and how likely it finds their reference answers."""

from sftframe.inference.generation import generate_responses, generation_settings
from sftframe.inference.likelihoods import measure_likelihoods, response_bytes

__all__ = ["generate_responses", "generation_settings", "measure_likelihoods", "response_bytes", "yardsticks"]
