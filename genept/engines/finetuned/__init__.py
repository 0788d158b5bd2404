"""Fine-tuning an embedding: a light head, trained on one annotation, whose penultimate layer is a new embedding."""
