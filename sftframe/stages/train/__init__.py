"""Fine-tuning: one optimizer step changes the model and makes one record."""

from sftframe.stages.train.figures import gradient_norm, steps_between_readings
from sftframe.stages.train.schedule import learning_rate
from sftframe.stages.train.trainer import Trainer

__all__ = ["Trainer", "gradient_norm", "learning_rate", "steps_between_readings"]
