"""Training, measuring and answering on several processes: GPUs, or machines.

Rank 0 does the run, as one process does. For every batch and every list of prompts it gives the other ranks their
share. In training the weights are spread over all ranks.
"""

from sftframe.distributed.place import Place, check_torch
from sftframe.distributed.signals import keep_signals_back

__all__ = ["Place", "check_torch", "keep_signals_back"]
