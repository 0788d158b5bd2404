"""Fine-tuned heads: training, the finetune stage, and their scores."""
