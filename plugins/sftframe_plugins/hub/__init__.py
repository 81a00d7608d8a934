"""Files of models as the Hugging Face hub has them, for the backends: repositories, checkpoints, folders."""
